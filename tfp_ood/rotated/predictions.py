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
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import special

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import METADATA_KEY, encode_metadata

FOLDER = "predictions"
"""In the work directory."""

PICTURES = pathlib.PurePath(FOLDER, "digits.npy")
"""The digits that the figures draw, uint8 [digits, angles, H, W, 1]."""

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
        """Nats, float64 [N]."""
        return entropy(self.probabilities)

    def where(self, rows: np.ndarray) -> "Predictions":
        """Those of the images that `rows` bool [N] picks."""
        keys = {name: values[rows] for name, values in self.keys.items()}
        return Predictions(keys, self.probabilities[rows], self.metadata)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """`-sum_y p(y) log p(y)` over the last axis, nats; log(10) for no idea of ten classes."""
    return special.entr(probabilities).sum(axis=-1)


def table_path(workdir: str | os.PathLike[str], variant: str, kind: str) -> pathlib.Path:
    """WORKDIR/predictions/VARIANT.KIND.parquet; the kind is `rotated` or `sets`."""
    return pathlib.Path(workdir) / FOLDER / f"{variant}.{kind}.parquet"


def write(path: pathlib.Path, predictions: Predictions) -> None:
    """Writes a table, whole or not at all."""
    columns = dict(predictions.keys)
    for number, column in enumerate(predictions.probabilities.T):
        columns[f"{_PROBABILITY}{number}"] = column
    columns["entropy"] = predictions.entropy
    metadata = {METADATA_KEY: encode_metadata(predictions.metadata)}
    with atomic.replacing(path) as temporary:
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, temporary, write_page_checksum=True)


def is_current(path: pathlib.Path, metadata: Mapping[str, Any]) -> bool:
    """Whether there is a readable table with exactly this metadata: no need to make it again."""
    try:
        return (pq.read_schema(path).metadata or {})[METADATA_KEY].decode() == encode_metadata(
            metadata
        )
    except (OSError, ValueError, KeyError):
        return False


def read(path: pathlib.Path) -> Predictions:
    """Reads what `write` wrote.

    Raises:
      EvaluationError: there is no such table, or it is damaged.
    """
    if not path.exists():
        raise EvaluationError(f"There are no predictions {path}; --mode=evaluate makes them.")
    try:
        # Not pq.read_table, which takes "a=b" in the path of a work directory for a column.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        metadata = json.loads((table.schema.metadata or {})[METADATA_KEY])
        classes = [name for name in table.column_names if name.startswith(_PROBABILITY)]
        keys = [name for name in table.column_names if name not in (*classes, "entropy")]
        return Predictions(
            {name: table[name].to_numpy() for name in keys},
            np.stack([table[name].to_numpy() for name in classes], axis=-1),
            metadata,
        )
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(
            f"The predictions {path} are damaged ({str(error).splitlines()[0]}). "
            "Delete the file and run --mode=evaluate, which makes it again."
        ) from error
