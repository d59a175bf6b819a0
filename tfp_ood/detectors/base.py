"""What every detector is: one protocol, from score tables to a score per image."""

import abc
import copy
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import SET_KEYS, ScoreTable

OF_FLOWS_AND_VAES = ("log_det", "kl")
"""Columns of which the tables of flows and of VAEs have one, and no others."""


class Detector(abc.ABC):
    """Tells out-of-distribution images by columns of the score table.

    Most detectors judge the images of one model. Those with `of_ensembles` judge them by several
    models that differ in their seed, and get one table of the same images from each.
    """

    name: ClassVar[str]
    """The key in `summary.json`, a plain word."""
    title: ClassVar[str]
    """What people read, at the start of a sentence."""
    needs: ClassVar[tuple[str, ...]] = ("log_prob",)
    """Columns of the score table. "NAME.*" is every column NAME.PART, of which a family of models
    has its own parts; there must be one at least."""
    how_to_get: ClassVar[str] = ""
    """What gives a table the columns that not every run has, such as a key of the config; "" where
    it is the family of the model that has them or has not."""
    tails: ClassVar[str] = "high"
    """Which scores mean foreign when images are judged: "high", or "both"."""
    of_ensembles: ClassVar[bool] = False
    """Whether it takes the tables of at least two models."""
    needs_held_out: ClassVar[bool] = False
    """Whether `fit` has to look at held-out images."""
    is_combined: ClassVar[bool] = False
    """Whether `combined` asks it: a detector of single models that says something of its own."""
    combined_with: ClassVar[tuple[str, ...]] = ()
    """Columns of which a table must have one for `combined` to ask it: only models that have one
    make it say something of its own."""

    def reason(self, is_high: bool) -> str:
        """Why an image is foreign whose score is too high, or where that counts too low."""
        starts_plain = self.title[1:2].islower()
        title = self.title[0].lower() + self.title[1:] if starts_plain else self.title
        if self.tails == "both":
            return f"{title} too {'high' if is_high else 'low'}"
        return f"unusual {title}"

    def fit(self, held_out: Sequence[ScoreTable]) -> "Detector":
        """Returns the detector as it is after a look at images that no weight was trained on.

        Args:
          held_out: in-distribution images, one table for each model.
        """
        return self

    @abc.abstractmethod
    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """The scores of a set of images, float64 [N]: higher is more out-of-distribution.

        Args:
          tables: of the same N images, one for each model.

        Raises:
          EvaluationError: the tables are of different images.
        """

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """The columns that it takes of those that a table has; none where it cannot judge."""
        found = [matching(need, names) for need in self.needs]
        return tuple(name for part in found for name in part) if all(found) else ()

    def missing(self, names: Collection[str]) -> tuple[str, ...]:
        """What it needs and a table with these columns has not."""
        return tuple(need for need in self.needs if not matching(need, names))

    def is_applicable(self, tables: Sequence[ScoreTable]) -> bool:
        """Whether all of these tables have the columns that it needs."""
        return all(self.uses(table.column_names) for table in tables)


def matching(need: str, names: Collection[str]) -> list[str]:
    """The columns among `names` that an entry of `Detector.needs` stands for."""
    if need.endswith(".*"):
        return [name for name in names if name.startswith(need[:-1])]
    return [need] if need in names else []


class ColumnDetector(Detector):
    """A detector of single models whose score is arithmetic on columns.

    It can leave the score tables: the export puts it into a graph, and the trajectory scores it at
    every checkpoint.
    """

    @abc.abstractmethod
    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The score from the columns that it uses, float64 [N].

        Args:
          columns: name -> float64 [N], all arrays or all tensors.
          xp: NumPy, or `tensorflow.experimental.numpy` where they are tensors.
        """

    def fit_columns(self, columns: Mapping[str, np.ndarray]) -> "ColumnDetector":
        """`fit` from the columns of held-out images, float64 [N] each, more than needed or not."""
        return self

    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """The scores of a set of images under one model, float64 [N]."""
        (table,) = tables
        return self.of_columns(table.columns(self.uses(table.column_names)), np)


class FittedDetector(ColumnDetector):
    """A `ColumnDetector` that learns from held-out images what is usual."""

    needs_held_out = True
    columns: tuple[str, ...] = ()
    """Those that the held-out images had; all that it uses."""

    def fit(self, held_out: Sequence[ScoreTable]) -> "FittedDetector":
        """Learns from the table of a model's held-out images."""
        (table,) = held_out
        return self.fit_columns(table.columns(table.column_names))

    def fit_columns(self, columns: Mapping[str, np.ndarray]) -> "FittedDetector":
        """Learns from the columns that it uses."""
        fitted = copy.copy(self)
        fitted.columns = self.uses(columns)
        fitted.learn({name: columns[name] for name in fitted.columns})
        return fitted

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """After a fit the same columns always."""
        return self.columns or super().uses(names)

    @abc.abstractmethod
    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Keeps what `of_columns` needs to know.

        Args:
          columns: name -> float64 [N], of held-out images.
        """


def check_same_images(tables: Sequence[ScoreTable]) -> None:
    """Refuses tables of different images.

    Raises:
      EvaluationError: names the set.
    """
    first = tables[0]
    for table in tables[1:]:
        if any(first.metadata[key] != table.metadata[key] for key in SET_KEYS):
            raise EvaluationError(
                f"The models of an ensemble were scored on different images of {first.key}; "
                "evaluate all with the same config.data."
            )
