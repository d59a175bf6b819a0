"""Why the guard flags an image, in short words."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import detectors
from tfp_ood.detectors.guard import Judgement

NONE_ALONE = "all together"
"""The reason where no detector finds an image unusual by itself, and the combination does."""


def words(name: str, side: int) -> str:
    """What it means that a detector fired.

    Args:
      name: of the detector.
      side: 1 where its score is too high, -1 where it is too low.
    """
    return detectors.DETECTORS[name].reason(side > 0)


def of_image(judgement: Judgement, place: int) -> list[str]:
    """The detectors that fired on the image at a place of its set, in words; perhaps none."""
    sides = {name: int(fired[place]) for name, fired in judgement.fired.items()}
    return [words(name, side) for name, side in sides.items() if side]


def main(judgement: Judgement) -> tuple[str, float] | None:
    """The most common reason of the images that are flagged.

    Returns:
      The reason, and the share of the flagged images that have it; None where none are flagged.
    """
    flagged = judgement.flagged
    if not np.any(flagged):
        return None
    shares = collections.Counter(
        {
            (name, side): float(np.mean(fired[flagged] == side))
            for name, fired in judgement.fired.items()
            for side in (1, -1)
        }
    )
    (most, share), *_ = shares.most_common(1)
    return (words(*most), share) if share else (NONE_ALONE, 1.0)


def shares(judgement: Judgement) -> dict[str, dict[str, float]]:
    """Detector -> `too_high` and `too_low`: the shares of all images on which it fired so."""
    return {
        name: {"too_high": float(np.mean(fired == 1)), "too_low": float(np.mean(fired == -1))}
        for name, fired in judgement.fired.items()
    }


def wrapped(reasons: Sequence[str], most: int) -> list[str]:
    """At most so many reasons; the others as a number."""
    shown = list(reasons[:most])
    return [*shown, f"and {len(reasons) - most} more"] if len(reasons) > most else shown


def with_p_value(told: Mapping[str, Any]) -> str:
    """What is told of an image, its `p_value` and its `reasons`, in a line."""
    return "; ".join([f"p = {told['p_value']:.2g}", *told["reasons"]])
