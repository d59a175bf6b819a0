"""The detectors together: what any of them finds rare is rare."""

import types
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import ColumnDetector, FittedDetector

_NUM_FOLDS = 2


class Combined(FittedDetector):
    """The sum over detectors of how rare their scores are: -log p_k in nats (`usual.Surprise`).

    Fisher's way to join tests ("Statistical methods for research workers", 1925), without his
    reference: scores of one image depend on each other, so that the sum is ranked among those of
    further held-out images (`conformal`). It joins all detectors with `is_combined` whose columns
    the table has, one of `combined_with` too. How rare a score is, is learnt on images that the
    detector was not fitted to, in turns. No foreign image takes part. It costs what its members
    cost. High means foreign. Blind to what all of them are blind to.

    Args:
      members: detectors of single models, not fitted.
    """

    name = "combined"
    title = "All detectors combined"

    def __init__(self, members: tuple[ColumnDetector, ...]):
        self._members = members

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """The columns of all members that can judge."""
        if self.columns:
            return self.columns
        asked = self._asked(names)
        told = (name for one in asked for name in one.combined_with if name in names)
        return tuple(dict.fromkeys([*(n for one in asked for n in one.uses(names)), *told]))

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of the detectors that it joins, after a fit."""
        return tuple(one.name for one in self._fitted)

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Fits the members, and how rare their scores are."""
        members = self._asked(columns)
        self._fitted = [one.fit_columns(columns) for one in members]
        size = len(next(iter(columns.values())))
        fold = np.arange(size) % _NUM_FOLDS if size > _NUM_FOLDS else np.zeros(size, int)
        self._surprises = [usual.surprise(_scores_of_unseen(one, columns, fold)) for one in members]

    def _asked(self, names: Collection[str]) -> list[ColumnDetector]:
        """The members that can judge tables with these columns, and are to."""
        return [
            one
            for one in self._members
            if one.uses(names) and (not one.combined_with or {*one.combined_with} & {*names})
        ]

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The sum of surprises, nats."""
        return sum(
            surprise(one.of_columns(columns, xp), xp)
            for one, surprise in zip(self._fitted, self._surprises, strict=True)
        )


def _scores_of_unseen(
    member: ColumnDetector, columns: Mapping[str, np.ndarray], fold: np.ndarray
) -> np.ndarray:
    """Scores [N] of each fold by the detector fitted to the others."""
    scores = np.empty(len(fold))
    for number in np.unique(fold):
        inside = fold == number
        others = ~inside if not np.all(inside) else inside
        fitted = member.fit_columns({name: values[others] for name, values in columns.items()})
        part = {name: values[inside] for name, values in columns.items()}
        scores[inside] = fitted.of_columns(part, np)
    return scores
