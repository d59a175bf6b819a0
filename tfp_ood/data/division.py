"""Which images of a set are looked at, and, of one without splits, trained on and held out."""

import numpy as np

from tfp_ood.config import DataConfig
from tfp_ood.errors import DataError

_SEED = 0
_SHARE = 10
"""One image of so many is for the test, and at most one of so many is held out for validation."""
_FEW, _SHARE_OF_FEW = 40, 4
"""But of small sets up to so many are held out, which is what a guard needs at 5 % of false alarms,
and at most one of so many."""


def judged(num_images: int, data: DataConfig) -> np.ndarray:
    """Which images of a set are judged: all, or `data.num_test` of them, ascending, int64.

    A fixed random choice: the first ones of a folder or an ordered array are of one class.
    """
    if not 0 < data.num_test < num_images:
        return np.arange(num_images)
    order = np.random.default_rng(_SEED).permutation(num_images)
    return np.sort(order[: data.num_test])


def spread(num_images: int, most: int) -> np.ndarray:
    """Numbers of at most so many of a set's images, at even distances: int64, ascending."""
    count = min(most, num_images)
    return np.arange(count, dtype=np.int64) * num_images // max(count, 1)


def playing(
    name: str, num_images: int, role: str, data: DataConfig, groups: np.ndarray | None = None
) -> np.ndarray:
    """Which images of a set without splits have a role: indices, int64; see `judged` too.

    Args:
      name: of the set.
      num_images: it has.
      role: see `splits.open_split`.
      data: says how many are held out.
      groups: equal for copies of an image (`duplicates.groups`), which all have one role.

    Raises:
      DataError: there are too few to train on, validate and test.
    """
    if role == "out":
        return np.arange(num_images)
    if num_images < 3:
        raise DataError(
            f"{name}: {num_images} images are too few to train on; at least 3 are needed "
            "(one each for training, validation and test)."
        )
    sizes = _share(num_images), _num_validation(num_images, data)
    order = np.random.default_rng(_SEED).permutation(num_images)
    if _has_copies(groups):
        num_different = len(np.unique(groups))
        if num_different < 3:
            raise DataError(
                f"{name}: its {num_images:,} images are copies of {num_different} different "
                f"one{'s' * (num_different > 1)}; at least 3 are needed (one each for training, "
                "validation and test)."
            )
        parts = _together(order, sizes, groups)
    else:
        parts = np.split(order, np.cumsum(sizes))
    return dict(zip(("test", "validation", "train"), parts, strict=True))[role]


def _has_copies(groups: np.ndarray | None) -> bool:
    return groups is not None and len(np.unique(groups)) < len(groups)


def _together(order: np.ndarray, sizes: tuple[int, int], groups: np.ndarray) -> list[np.ndarray]:
    """Images for test, validation and training, about as many as `sizes` of the first two, none of
    the three empty, all copies of an image in one of them.

    A group of copies is where the first of them is in the order, so that images with copies are
    held out as often as others. One that would be more than half of a part is in a later one.
    """
    firsts, counts = np.unique(groups, return_counts=True)
    by_place = np.argsort(np.argsort(order)[firsts])
    firsts, counts = firsts[by_place], counts[by_place]
    part, left = np.full(len(order), len(sizes)), np.arange(len(firsts))
    for number, size in enumerate(sizes):
        taken, left = _taken(left, counts, size, leave=len(sizes) - number)
        part[firsts[taken]] = number
    part = part[groups]
    return [order[part[order] == number] for number in range(len(sizes) + 1)]


def _taken(
    groups: np.ndarray, counts: np.ndarray, size: int, leave: int
) -> tuple[np.ndarray, np.ndarray]:
    """Groups, in their order, with about `size` images, at least one of them, and the others, at
    least `leave`; of those with more than half as many the smallest, where no others are left."""
    late = np.where(counts[groups] > max(1.0, size / 2), counts[groups], 0)
    order = groups[np.argsort(late, kind="stable")]
    nearest = np.argmin(np.abs(np.cumsum(counts[order]) - size)) + 1
    number = np.clip(nearest, 1, len(groups) - leave)
    return order[:number], np.sort(order[number:])


def mark(num_images: int, data: DataConfig, groups: np.ndarray | None = None) -> str:
    """What the version of a set ends with that earlier versions of this program divided otherwise,
    so that their training images are not taken for held-out ones: "" for others."""
    count = _num_validation(num_images, data)
    of_few = f"-{count}" if count > _share(num_images) else ""
    return of_few + ("-copies2" if _has_copies(groups) else "")


def fewest_images(num_validation: int) -> int:
    """How many images a set needs so that this many can be held out for validation."""
    return num_validation * (_SHARE_OF_FEW if num_validation <= _FEW else _SHARE)


def _share(num_images: int) -> int:
    return max(1, num_images // _SHARE)


def _num_validation(num_images: int, data: DataConfig) -> int:
    """How many images are held out for validation."""
    few = min(_FEW, num_images // _SHARE_OF_FEW)
    return min(data.num_validation, max(_share(num_images), few))
