"""What every detector is: one protocol, from score tables to a score per image."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import SET_KEYS, ScoreTable


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
    """Columns of the score table; a set of tables that lacks one is not judged."""
    of_ensembles: ClassVar[bool] = False
    """Whether it takes the tables of at least two models."""
    needs_held_out: ClassVar[bool] = False
    """Whether `fit` has to look at held-out images."""

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

    def is_applicable(self, tables: Sequence[ScoreTable]) -> bool:
        """Whether all of these tables have the columns that it needs."""
        return all(name in table.column_names for table in tables for name in self.needs)


class ColumnDetector(Detector):
    """A detector of single models whose score is arithmetic on columns.

    It can leave the score tables: the export puts it into a graph, and the trajectory scores it at
    every checkpoint.
    """

    @abc.abstractmethod
    def of_columns(self, columns: Mapping[str, Any]) -> Any:
        """The score from the columns that it needs, all arrays or all tensors, [N] each."""

    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """The scores of a set of images under one model, float64 [N]."""
        (table,) = tables
        return self.of_columns(table.columns(self.needs))


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
