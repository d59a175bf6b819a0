"""Prediction tables: class probabilities of images under one classifier, as Parquet files.

The interface between prediction, which writes them, and the report on rotated digits. Columns: what
the image is, then `probability_0` ... `probability_9`, averaged over draws of weights, and
`entropy`, of that average, in nats. A turned image is its `label`, its `index` in the test split
and the `angle` in degrees counterclockwise; an image of a whole set is `dataset`, `split`, `label`
and `index`. This module needs no TensorFlow.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import special

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import tables

PICTURES = pathlib.PurePath("predictions", "digits.npz")
"""The digits that the figures draw, in the work directory."""

_PROBABILITY = "probability_"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for N images."""

    keys: Mapping[str, np.ndarray]
    """[N] each."""
    probabilities: np.ndarray
    """float64 [N, classes]."""
    metadata: Mapping[str, Any]
    """What the table depends on, JSON-able: a table with other facts is another table."""

    @property
    def entropy(self) -> np.ndarray:
        """`-sum_y p(y) log p(y)`, nats, float64 [N]; log(10) for no idea of ten classes."""
        return special.entr(self.probabilities).sum(axis=-1)

    def where(self, rows: np.ndarray) -> "Predictions":
        """Those of the images that `rows` bool [N] picks."""
        keys = {name: values[rows] for name, values in self.keys.items()}
        return Predictions(keys, self.probabilities[rows], self.metadata)


def table_path(workdir: str | os.PathLike[str], variant: str, kind: str) -> pathlib.Path:
    """WORKDIR/predictions/VARIANT.KIND.parquet; the kind is `rotated` or `sets`."""
    return pathlib.Path(workdir, "predictions", f"{variant}.{kind}.parquet")


def paths(workdir: str | os.PathLike[str], variant: str) -> list[pathlib.Path]:
    """Both tables of a variant."""
    return [table_path(workdir, variant, kind) for kind in ("rotated", "sets")]


def write(path: pathlib.Path, predictions: Predictions) -> None:
    """Writes a table, whole or not at all."""
    classes = {f"{_PROBABILITY}{n}": p for n, p in enumerate(predictions.probabilities.T)}
    columns = {**predictions.keys, **classes, "entropy": predictions.entropy}
    metadata = {tables.METADATA_KEY: tables.encode_metadata(predictions.metadata)}
    with atomic.replacing(path) as temporary:
        pq.write_table(pa.table(columns, metadata=metadata), temporary, write_page_checksum=True)


def read(path: pathlib.Path) -> Predictions:
    """Reads what `write` wrote.

    Raises:
      EvaluationError: there is no such table, or it is damaged.
    """
    return tables.read_table(path, "prediction table", _from_arrow)


def write_pictures(
    workdir: str | os.PathLike[str], pictures: np.ndarray, facts: Mapping[str, Any]
) -> None:
    """Writes the digits that the figures draw, whole or not at all.

    Args:
      workdir: of the run.
      pictures: uint8 [digits, images, angles, H, W, 1].
      facts: what they depend on, as the metadata of their prediction tables have it.
    """
    with atomic.replacing(pathlib.Path(workdir, PICTURES)) as temporary:
        np.savez(temporary, pictures=pictures, facts=tables.encode_metadata(facts))


def read_pictures(
    workdir: str | os.PathLike[str], metadata: Iterable[Mapping[str, Any]]
) -> np.ndarray:
    """Reads what `write_pictures` wrote.

    Args:
      workdir: of the run.
      metadata: of the tables that say what these digits were taken for.

    Raises:
      EvaluationError: there are none, or they are damaged, or those of other tables.
    """
    path = pathlib.Path(workdir, PICTURES)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts, pictures = json.loads(str(arrays["facts"])), arrays["pictures"]
        if any(one.get(key) != value for one in metadata for key, value in facts.items()):
            raise ValueError("they are not those that were asked about")
        return pictures
    # np.load fails in many ways on damaged archives, zipfile.BadZipFile among them.
    except Exception as error:
        raise EvaluationError(
            f"The digits {path} cannot be read ({error}); --mode=evaluate makes them."
        ) from error


def _from_arrow(table: pa.Table) -> Predictions:
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "entropy"}
    classes = [columns.pop(name) for name in list(columns) if name.startswith(_PROBABILITY)]
    return Predictions(columns, np.stack(classes, axis=-1), tables.decode_metadata(table.schema))
