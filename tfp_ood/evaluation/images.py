"""What scoring keeps of the images themselves, so that no report reads or scores them again."""

import concurrent.futures
import dataclasses
import io
import os
import pathlib

import numpy as np
from PIL import Image

NUM_EXTREMES = 10
"""Images of the lowest, and of the highest, likelihood that are kept of each set."""


def png_bytes(images: np.ndarray) -> np.ndarray:
    """Size of each image as a PNG file at the highest compression: a plain measure of complexity.

    The bytes hold about 70 of header, the same for all. (Serra et al., "Input complexity and
    out-of-distribution detection", 2020, take the same as an upper bound of complexity.)

    Args:
      images: uint8 `[B, H, W, C]`, C 1 or 3.

    Returns:
      int64 `[B]`.
    """
    # The compressor lets go of Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = list(pool.map(_png_bytes, images))
    return np.array(sizes, np.int64)


def _png_bytes(image: np.ndarray) -> int:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
        buffer, "PNG", compress_level=9
    )
    return buffer.tell()


@dataclasses.dataclass
class Extremes:
    """The images of lowest and of highest likelihood among those seen so far."""

    lowest: np.ndarray | None = None
    """uint8 `[K, H, W, C]`, the least likely first; K is `NUM_EXTREMES`, or fewer."""
    highest: np.ndarray | None = None
    """uint8 `[K, H, W, C]`, the likeliest first."""
    _lowest_log_prob: np.ndarray | None = None
    _highest_log_prob: np.ndarray | None = None

    def see(self, images: np.ndarray, log_prob: np.ndarray) -> None:
        """Takes in a batch: uint8 `[B, H, W, C]` and nats per image `[B]`."""
        self.lowest, self._lowest_log_prob = _first(
            self.lowest, self._lowest_log_prob, images, log_prob, sign=1.0
        )
        self.highest, self._highest_log_prob = _first(
            self.highest, self._highest_log_prob, images, log_prob, sign=-1.0
        )

    def save(self, path: pathlib.Path) -> None:
        """Writes both, uint8 `[2, K, H, W, C]`, the lowest first."""
        np.save(path, np.stack([self.lowest, self.highest]))


def _first(
    kept: np.ndarray | None,
    kept_log_prob: np.ndarray | None,
    images: np.ndarray,
    log_prob: np.ndarray,
    sign: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The first `NUM_EXTREMES` of what was kept and what is new, by `sign * log_prob`."""
    if kept is not None:
        images = np.concatenate([kept, images])
        log_prob = np.concatenate([kept_log_prob, log_prob])
    order = np.argsort(sign * log_prob, kind="stable")[:NUM_EXTREMES]
    return images[order], log_prob[order]


def extremes_path(table: str | os.PathLike[str]) -> pathlib.Path:
    """Where the extremes of a score table are: beside it."""
    return pathlib.Path(table).with_suffix(".extremes.npy")
