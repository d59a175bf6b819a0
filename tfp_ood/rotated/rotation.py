"""One image, turned by many angles."""

import numpy as np
import PIL.Image

LARGEST_ANGLE = 180.0


def angles(num_angles: int) -> np.ndarray:
    """Angles from 0 to 180 degrees, both included, at equal distances: float64 [num_angles]."""
    return np.linspace(0.0, LARGEST_ANGLE, num_angles)


def rotated(image: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """The image turned counterclockwise about its centre, bilinearly, with black corners.

    Args:
      image: uint8 [H, W, 1].
      degrees: [A]; multiples of 180 (and of 90, for square images) move pixels exactly.

    Returns:
      uint8 [A, H, W, 1].
    """
    picture = PIL.Image.fromarray(image[..., 0])
    turned = [picture.rotate(angle, PIL.Image.Resampling.BILINEAR) for angle in degrees]
    return np.stack([np.asarray(one) for one in turned])[..., np.newaxis]
