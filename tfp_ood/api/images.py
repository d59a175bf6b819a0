"""Images as Python programs hold them: checked, and brought to one layout."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tfp_ood.data import specs
from tfp_ood.errors import DataError

Shape = tuple[int, int, int]


class ImageError(DataError, ValueError):
    """An array that is not of the images that were expected."""


def as_images(images: Any, image_shape: Shape | None = None) -> np.ndarray:
    """Images in the layout of this package.

    Args:
      images: uint8 [N, H, W, C] or, of gray ones, [N, H, W]; an array or a tensor.
      image_shape: (H, W, C) of a model; None for any with 1 or 3 channels.

    Returns:
      uint8 [N, H, W, C], N of at least 1.

    Raises:
      ImageError: they are of another type or shape.
    """
    found = np.asarray(images)
    if image_shape is None:
        if fault := specs.array_fault(found):
            valid = "uint8 [N, H, W, C] or [N, H, W] with N, H, W >= 1 and C = 1 or 3"
            raise ImageError(f"images: {fault}; valid is {valid}{_mended(found)}.")
        return found[..., np.newaxis] if found.ndim == 3 else found
    is_gray = image_shape[-1] == 1
    shaped = found[..., np.newaxis] if found.ndim == 3 and is_gray else found
    if (
        found.dtype != np.uint8
        or shaped.ndim != 4
        or shaped.shape[1:] != image_shape
        or not found.size
    ):
        layout = ", ".join(map(str, image_shape))
        either = f" or [N, {image_shape[0]}, {image_shape[1]}]" if is_gray else ""
        raise ImageError(
            f"images: got {found.dtype} {list(found.shape)}; valid is uint8 [N, {layout}]{either} "
            f"with N of at least 1{_mended(found)}."
        )
    return shaped


def _mended(found: np.ndarray) -> str:
    """How to get whole numbers from 0 to 255, or channels that come last, where these are wrong."""
    said = ""
    if found.dtype != np.uint8:
        said += ", the values from 0 (black) to 255 (white)"
    if found.ndim == 4 and found.shape[1] in (1, 3) and found.shape[3] not in (1, 3):
        said += "; channels come last, as images.transpose(0, 2, 3, 1) has them"
    return said


def read_pictures(
    files: Iterable[str | os.PathLike[str]] | str | os.PathLike[str], data: Any
) -> np.ndarray:
    """Image files in the shape of a model, uint8 [N, H, W, C].

    Args:
      files: one or several, of any format that folders may hold (PNG, JPEG, ...).
      data: `config.data` of the model: the shape, and which changes are allowed.

    Raises:
      DataError: there are none, one cannot be read, or needs a change that is not allowed.
    """
    from tfp_ood.data import decoding, shaping

    found = []
    given = [files] if isinstance(files, str | os.PathLike) else files
    for path in map(os.fspath, given):
        try:
            pixels = decoding.decode_any(path).pixels
        except (decoding.UnreadableError, OSError) as error:
            raise DataError(f"{path}: cannot be read ({error}).") from error
        plan = shaping.plan(path, pixels.shape, pixels.shape[:2], data)
        found.append(plan.apply(pixels).numpy())
    if not found:
        raise ImageError("images: got no files; valid is at least one.")
    return np.stack(found)


def in_batches(
    function: Callable[[np.ndarray], Mapping[str, Any]], images: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """What a function tells of images, `size` of them at a time: float64 [N] each."""
    parts = [function(images[start : start + size]) for start in range(0, len(images), size)]
    return {
        name: np.concatenate([np.asarray(part[name], np.float64) for part in parts])
        for name in parts[0]
    }
