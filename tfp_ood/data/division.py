"""Which images of a set without splits are trained on, held out, and judged."""

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
        order, sizes = _together(order, sizes, groups)
    parts = np.split(order, np.cumsum(sizes))
    return dict(zip(("test", "validation", "train"), parts, strict=True))[role]


def _has_copies(groups: np.ndarray | None) -> bool:
    return groups is not None and len(np.unique(groups)) < len(groups)


def _together(
    order: np.ndarray, sizes: tuple[int, int], groups: np.ndarray
) -> tuple[np.ndarray, tuple[int, int]]:
    """The order with all copies of an image together, and about the same sizes of the parts for
    test and validation, so that no group of copies is divided and none of the three parts is empty.

    A group is where one fixed member of it was, so that images with copies are held out as often as
    others. One that would be more than half of a part is trained on.
    """
    place = np.argsort(order)[groups]  # of the group's first image
    counts = np.bincount(groups)[groups]
    late = np.where(counts > min(sizes) / 2, counts, 0)
    order = np.lexsort((np.arange(len(order)), place, late))
    ends = np.append(np.flatnonzero(np.diff(groups[order])) + 1, len(order))
    test = np.clip(np.argmin(np.abs(ends - sizes[0])), 0, len(ends) - 3)
    both = np.argmin(np.abs(ends - ends[test] - sizes[1]))
    both = np.clip(both, test + 1, len(ends) - 2)
    return order, (int(ends[test]), int(ends[both] - ends[test]))


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
