"""Images that a set holds several times: exact copies, and others that look alike.

A copy of a training image among the test images makes a model look better than it is; hence copies
are kept on one side of the division (`division.chosen`). Those that only look alike, such as the
same picture saved twice as JPEG, are counted and no more.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DUPLICATES = "duplicates"
"""Where a set's record tells of them."""

_SIDE = 8
"""Of the comparisons that make an appearance: 64 bits."""


@dataclasses.dataclass(frozen=True)
class Print:
    """What an image is known by."""

    content: bytes
    """A hash of its size and pixels."""
    appearance: int
    """64 bits: where its brightness rises from left to right in a picture of 8 rows of 9 pixels
    (Krawetz, "Kind of like that", 2013: the difference hash)."""


def prints_of(images: np.ndarray) -> list[Print]:
    """The prints of images, uint8 `[N, H, W, C]`."""
    brightness = _reduced(images.mean(axis=-1, dtype=np.float32), _SIDE, _SIDE + 1)
    rises = (np.diff(brightness, axis=2) > 0).reshape(len(images), -1)
    appearances = np.packbits(rises, axis=1).view(">u8")[:, 0]
    size = str(images.shape[1:]).encode()
    contents = (hashlib.sha256(size + image.tobytes()).digest()[:16] for image in images)
    return [Print(*pair) for pair in zip(contents, appearances.tolist(), strict=True)]


def _reduced(gray: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means of the parts of pictures `[N, H, W]`, `[N, height, width]`; of small ones parts
    repeat."""
    for axis, count in ((1, height), (2, width)):
        starts = np.arange(count) * gray.shape[axis] // count
        sizes = np.maximum(np.diff(starts, append=gray.shape[axis]), 1)
        sums = np.add.reduceat(gray, starts, axis=axis)
        gray = sums / np.expand_dims(sizes, 2 - axis).astype(np.float32)
    return gray


def groups(prints: Sequence[Print]) -> np.ndarray:
    """For each image the number of the first with the same pixels, int64 `[N]`."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(one.content, i) for i, one in enumerate(prints)], np.int64)


def record(prints: Sequence[Print]) -> dict[str, Any]:
    """What a set's record says of its copies; {} where there are none.

    Returns:
      `duplicates` -> num_images; num_copies, of images that are another one's exact copy; and
      num_alike, of different images with an appearance that another one has.
    """
    different = {one.content: one.appearance for one in prints}
    # Pictures that are flat, or fall everywhere, are like each other without being alike.
    seen = np.array([appearance for appearance in different.values() if appearance], np.uint64)
    _, counts = np.unique(seen, return_counts=True)
    num_copies, num_alike = len(prints) - len(different), int(counts[counts > 1].sum())
    if not num_copies and not num_alike:
        return {}
    return {
        DUPLICATES: {
            "num_images": len(prints),
            "num_copies": num_copies,
            "num_alike": num_alike,
        }
    }


def cautions(label: str, record: Mapping[str, Any]) -> list[str]:
    """What whoever uses a set should know of its copies, in sentences.

    Args:
      label: of the set.
      record: what `record` gave, among others.
    """
    found = record.get(DUPLICATES)
    if not found or not found["num_copies"]:
        return []
    different = found["num_images"] - found["num_copies"]
    return [
        f"Caution: {found['num_copies']:,} of the {found['num_images']:,} images of {label} are "
        f"exact copies of others, so that it has {different:,} different ones. Where the set is "
        f"divided, copies stay on one side; {found['num_alike']:,} more look alike and may not."
    ]
