"""What classifiers are asked: digits at many angles, and whole sets of images."""

import dataclasses
from typing import Any

import numpy as np
import PIL.Image

from tfp_ood.data import pipeline
from tfp_ood.errors import DataError
from tfp_ood.rotated.config import RotatedConfig, RotatedDataConfig


@dataclasses.dataclass(frozen=True)
class Images:
    """What is asked: N images, and what each of them is."""

    kind: str
    images: np.ndarray
    """uint8 [N, H, W, 1]."""
    keys: dict[str, np.ndarray]
    """[N] each."""
    facts: dict[str, Any]
    """What they depend on."""


def load_images(config: RotatedConfig, splits: list[pipeline.Split]) -> tuple[Images, Images]:
    """The turned digits, out of the first set, and all images of all sets.

    Raises:
      DataError: there are too few of a digit.
    """
    loaded = [pipeline.load(split) for split in splits]
    turned = _turned(config.data, version_of(splits[0]), *loaded[0])
    return turned, _whole_sets(splits, loaded)


def version_of(split: pipeline.Split) -> str:
    """`Split.version`, and what is done to the images before a network sees them.

    `size_change` and `channel_change` may be set anew for other foreign sets, but not where that
    would change the digits.
    """
    done = [split.preprocessing[key] for key in ("size_change", "channel_change")]
    changes = [one for one in done if one != "none"]
    return ", ".join(filter(None, [split.version, *changes]))


def angles(num_angles: int) -> np.ndarray:
    """Angles from 0 to 180 degrees, both included, at equal distances: float64 [num_angles]."""
    return np.linspace(0.0, 180.0, num_angles)


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


def _turned(
    data: RotatedDataConfig, version: str, images: np.ndarray, labels: np.ndarray
) -> Images:
    """The first test images of the chosen digits at all angles.

    Raises:
      DataError: there are too few.
    """
    degrees = angles(data.num_angles)
    chosen = []
    for digit in data.digits:
        found = np.flatnonzero(labels == digit)[: data.num_rotated]
        if len(found) < data.num_rotated:
            raise DataError(
                f"{data.in_distribution}: of the {len(labels):,} test images only {len(found)} are "
                f"of class {digit}; lower --config.data.num_rotated or raise "
                "--config.data.num_test."
            )
        chosen.extend(found)
    chosen = np.array(chosen, np.int64)
    keys = {
        "label": np.repeat(labels[chosen], len(degrees)),
        "index": np.repeat(chosen, len(degrees)),
        "angle": np.tile(degrees, len(chosen)),
    }
    facts = {
        name: getattr(data, name) for name in ("digits", "num_rotated", "num_angles", "num_test")
    }
    turned = np.concatenate([rotated(image, degrees) for image in images[chosen]])
    return Images("rotated", turned, keys, {**facts, "source_version": version})


def _whole_sets(
    splits: list[pipeline.Split], loaded: list[tuple[np.ndarray, np.ndarray]]
) -> Images:
    sizes = [split.num_images for split in splits]
    keys = {
        "dataset": np.repeat([split.name for split in splits], sizes),
        "split": np.repeat([split.split for split in splits], sizes),
        "label": np.concatenate([labels for _, labels in loaded]),
        "index": np.concatenate([np.arange(size) for size in sizes]),
    }
    facts = [[s.name, s.split, s.num_images, s.preprocessing, s.version] for s in splits]
    return Images("sets", np.concatenate([images for images, _ in loaded]), keys, {"sets": facts})
