"""What is kept of a set's images while they are scored, so that no later stage reads them again.

Plain measures of every image become columns of its score table (`columns`). Beside the table lies
NAME.SPLIT.npz with what is no column: the likeliest and unlikeliest images, some that are spread
evenly over the set, and the moments of every pixel (`Kept`).
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood import atomic
from tfp_ood.data import division
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import tables

_NUM_EXTREMES = 16
_NUM_SPREAD = 256  # of 32x32x3 pixels under 1 MB


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept of the N images of a set, as the model saw them."""

    extremes: np.ndarray
    """uint8 [2, K, H, W, C]: the K = min(16, N) likeliest, the likeliest first; then the K
    unlikeliest, the unlikeliest first."""
    extreme_index: np.ndarray
    """int64 [2, K], their index in the score table."""
    spread: np.ndarray
    """uint8 [M, H, W, C]: M = min(256, N) images at even distances in the set, whatever their
    likelihood, for those to show that a detector gets wrong."""
    spread_index: np.ndarray
    """int64 [M], ascending, their index in the score table."""
    mean: np.ndarray
    """float64 [H, W, C], over images, in pixel values."""
    variance: np.ndarray
    """float64 [H, W, C], over images (divided by N), in squared pixel values."""


def columns(images: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of single images that need no model.

    Args:
      images: uint8 [B, H, W, C], C 1 or 3.

    Returns:
      float64 [B] each: `pixel_mean` and `pixel_variance` over the values of the image (pixel
      values and their squares).
    """
    values = images.reshape(len(images), -1)
    count, total = values.shape[1], values.sum(1, dtype=np.int64).astype(np.float64)
    squares = _squares(values).sum(1, dtype=np.int64).astype(np.float64)
    return {
        "pixel_mean": total / count,
        "pixel_variance": (count * squares - total**2) / count**2,
    }


def _squares(values: np.ndarray) -> np.ndarray:
    """Of uint8, exact: uint16."""
    return np.square(values, dtype=np.uint16)


class Keeper:
    """Gathers `Kept` batch by batch, in memory that does not grow with the number of images.

    Args:
      num_images: of the set; the images that are spread over it are chosen by it.
    """

    def __init__(self, num_images: int) -> None:
        self._spread_index = division.spread(num_images, _NUM_SPREAD)
        self._spread: list[np.ndarray] = []
        self._num_images = 0
        self._sums: np.ndarray | int = 0
        self._squares: np.ndarray | int = 0
        self._ends: dict[int, list[tuple[np.ndarray, ...]]] = {-1: [], 1: []}

    def see(self, index: np.ndarray, images: np.ndarray, log_prob: np.ndarray) -> None:
        """Takes in one batch.

        Args:
          index: int64 [B].
          images: uint8 [B, H, W, C].
          log_prob: [B], nats.
        """
        self._spread.append(images[np.isin(index, self._spread_index)])
        self._num_images += len(images)
        self._sums = self._sums + images.sum(0, dtype=np.int64)  # exact for 10^14 images
        self._squares = self._squares + _squares(images).sum(0, dtype=np.int64)
        batch = (index, images, log_prob)
        for sign, end in self._ends.items():
            part = _least(sign, *batch)  # before images are copied
            end[:] = [_least(sign, *map(np.concatenate, zip(*end, part, strict=True)))]

    def kept(self) -> Kept:
        """What was gathered of at least one image."""
        mean = self._sums / self._num_images
        return Kept(
            extremes=np.stack([images for ((_, images, _),) in self._ends.values()]),
            extreme_index=np.stack([index for ((index, _, _),) in self._ends.values()]),
            spread=np.concatenate(self._spread),
            spread_index=self._spread_index,
            mean=mean,
            variance=np.maximum(self._squares / self._num_images - np.square(mean), 0.0),
        )


def _least(
    sign: int, index: np.ndarray, images: np.ndarray, log_prob: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Those of the least `sign * log_prob`, ties by index."""
    order = np.lexsort((index, sign * log_prob))[:_NUM_EXTREMES]
    return index[order], images[order], log_prob[order]


def kept_path(table_path: pathlib.Path) -> pathlib.Path:
    """Where the `Kept` of a score table lies: beside it, with another suffix."""
    return table_path.with_suffix(".npz")


def write_kept(table_path: pathlib.Path, kept: Kept, metadata: Mapping[str, Any]) -> pathlib.Path:
    """Writes `kept` beside its score table, with the table's metadata to know it by."""
    path = kept_path(table_path)
    with atomic.replacing(path) as temporary:
        np.savez(temporary, metadata=tables.encode_metadata(metadata), **dataclasses.asdict(kept))
    return path


def read_kept(table_path: pathlib.Path, metadata: Mapping[str, Any]) -> Kept:
    """Reads what `write_kept` wrote for the score table with this metadata.

    Raises:
      EvaluationError: it is missing, damaged or of another table.
    """
    path = kept_path(table_path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        if str(found.pop("metadata")) != tables.encode_metadata(metadata):
            raise ValueError("it belongs to another score table")
        return Kept(**found)
    # np.load fails in many ways on damaged archives, zipfile.BadZipFile among them.
    except Exception as error:
        raise EvaluationError(
            f"The images kept in {path} cannot be read ({error}). "
            f"Delete {table_path.name} and run --mode=evaluate, which makes both."
        ) from error
