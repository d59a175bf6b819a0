"""Images that a set holds several times: exact copies, and others that look alike.

A copy of a training image among the test images makes a model look better than it is; hence copies
are kept on one side of the division (`division.playing`). Those that only look alike, such as the
same picture saved twice as JPEG, are counted and no more: simple drawings, such as digits, look
alike to the hash that is compared without being copies.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DUPLICATES, SHARED = "duplicates", "shared"
"""Where a set's record tells of them, and of those that the own set holds too."""

_SIDE = 8
"""Of the comparisons that make an appearance: 64 bits."""

_ALIKE = 2
"""Bits in which appearances that look alike may differ, as they do after saving as JPEG."""

_CHANGES = np.append(np.uint64(0), np.uint64(1) << np.arange(64, dtype=np.uint64))
"""What leaves 64 bits as they are, or changes one."""


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
      num_alike, of different images with an appearance that another one has but for 2 bits.
    """
    different = {one.content: one.appearance for one in prints}
    num_copies = len(prints) - len(different)
    num_alike = _num_alike(np.array([*different.values()], np.uint64))
    if not num_copies and not num_alike:
        return {}
    return {
        DUPLICATES: {
            "num_images": len(prints),
            "num_copies": num_copies,
            "num_alike": num_alike,
        }
    }


def _num_alike(appearances: np.ndarray) -> int:
    """How many appearances, uint64 `[N]`, differ from another one in at most two bits."""
    values, counts = np.unique(appearances, return_counts=True)
    # Pictures that are flat, or rise or fall everywhere, are like each other without being alike.
    bits = np.unpackbits(values.view(np.uint8)).reshape(-1, 64).sum(axis=1)
    told = (bits > _ALIKE) & (bits < 64 - _ALIKE)
    values, counts = values[told], counts[told]
    is_alike = counts > 1
    candidates = np.flatnonzero(_share_two_bands(values))
    # Two of them differ in at most two bits just if a change of at most one bit in each makes them
    # equal. No pairs are compared, so that many that are alike take no longer.
    changed = np.sort((values[candidates, np.newaxis] ^ _CHANGES).ravel())
    met = np.unique(changed[1:][changed[1:] == changed[:-1]])
    for change in _CHANGES if len(met) else ():
        changed = values[candidates] ^ change
        places = np.minimum(np.searchsorted(met, changed), len(met) - 1)
        is_alike[candidates] |= met[places] == changed
    return int(counts[is_alike].sum())


def _share_two_bands(values: np.ndarray) -> np.ndarray:
    """Whether two of four bands of 16 bits of different values, uint64 `[N]`, are another one's,
    bool `[N]`: of those that differ in at most two bits they are, and of few others."""
    shared = np.zeros(len(values), bool)
    bands = np.uint64(0xFFFF) << np.arange(0, 64, 16, dtype=np.uint64)
    for one, other in itertools.combinations(bands, 2):
        kept = values & (one | other)
        _, index, counts = np.unique(kept, return_inverse=True, return_counts=True)
        shared |= counts[index] > 1
    return shared


def cautions(label: str, record: Mapping[str, Any]) -> list[str]:
    """What whoever uses a set should know of its copies, in sentences.

    Args:
      label: of the set.
      record: what `record` gave, among others.
    """
    said = []
    if shared := record.get(SHARED):
        said.append(
            f"Caution: {shared['num_own']:,} of the {shared['num_images']:,} images of {label} are "
            "exact copies of images of the in-distribution set, perhaps of training images: they "
            "are not foreign."
        )
    if found := record.get(DUPLICATES):
        said.append(_caution(label, found))
    return said


def _caution(label: str, found: Mapping[str, int]) -> str:
    """On the copies in one set."""
    num_images, num_copies, num_alike = (
        found[key] for key in ("num_images", "num_copies", "num_alike")
    )
    if not num_copies:
        return (
            f"Caution: {num_alike:,} of the {num_images:,} images of {label} look very much like "
            "another of them, as pictures that were saved again do, or simple drawings. Where the "
            "set is divided they may be on different sides."
        )
    more = f"; {num_alike:,} more look alike and may not" if num_alike else ""
    return (
        f"Caution: {num_copies:,} of the {num_images:,} images of {label} are exact copies of "
        f"others, so that it has {num_images - num_copies:,} different ones. Where the set is "
        f"divided, copies stay on one side{more}."
    )
