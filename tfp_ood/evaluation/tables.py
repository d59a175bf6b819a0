"""The score table: statistics of every image of one set under one model, as a Parquet file.

The interface between evaluation, which writes it, and every score and report. Its columns:

    dataset       dictionary of string   the name as in the config
    split         dictionary of string
    index         int64                  0 .. N-1, in order
    label         int64                  -1 where the set has none
    source        string                 of a folder the file, of an array the number in it; else
                                         there is no such column
    log_prob      float64                nats per image, of the discrete image
    bits_per_dim  float64
    ...           float64                what else the model tells of an image (nats)
    code_bits     float64                length of the image under a code (`code_length.code_bits`)
    pixel_mean, pixel_variance
                  float64                of the image itself too (`images.columns`)

Models compute in float32; the table holds float64, which is exact for float32 values and lets sums
and differences over 10^5 images of 10^4 nats keep their digits in whatever tool reads it.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfp_ood.errors import EvaluationError, first_line

if TYPE_CHECKING:  # data imports TensorFlow; reports, which read tables, must not
    from tfp_ood.data.pipeline import Split

METADATA_KEY = b"tfp_ood"
"""Where the file's metadata holds its facts, as JSON."""

SET_KEYS = (
    "dataset",
    "split",
    "num_images",
    "native_shape",
    "preprocessing",
    "source_version",
)
"""Facts of the images. All other metadata are facts of the model and how it was asked."""

FORMAT = 5
"""The format of the tables that this version writes and reads; others are made again."""

MODEL_KEYS = ("family", "num_parameters", "config_hash", "weights", "kind", "num_draws", "seed")
"""Facts of the model that no table may lack: its family, its trained numbers, the hash of
`Config.training_facts()`, that of the weights (`workdir.weights_id`), one of `KINDS`, the noise
draws S per image (1 where the likelihood is exact) and the seed of the noise."""

KINDS = ("exact", "bound")
"""What log_prob is: the model's log-likelihood, or a lower bound of it."""

_Parsed = TypeVar("_Parsed")
_SET = ("dataset", "split")  # columns that say the same of every image
_OF_IMAGES = ("index", "label", "log_prob", "bits_per_dim")  # columns that every table has


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """The statistics of the N images of one set under one model."""

    dataset: str
    split: str
    index: np.ndarray
    """int64 [N]."""
    label: np.ndarray
    """int64 [N]."""
    log_prob: np.ndarray
    """float64 [N], nats per image."""
    bits_per_dim: np.ndarray
    """float64 [N]."""
    statistics: Mapping[str, np.ndarray]
    """What else the model tells (nats per image) and what the image is: float64 [N] each."""
    metadata: Mapping[str, Any]
    """`SET_KEYS`, `MODEL_KEYS` and what else the writer noted."""
    source: np.ndarray | None = None
    """Texts [N], of a person's own files: see above."""

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.index)

    @property
    def num_dims(self) -> int:
        """Dimensions of an image as the model saw it, H * W * C."""
        return int(np.prod(self.metadata["preprocessing"]["image_shape"]))

    @property
    def key(self) -> str:
        """Name and split in one, such as "mnist/test"."""
        return f"{self.dataset}/{self.split}"

    @property
    def reduction(self) -> Mapping[str, Any] | None:
        """Kind and factor of the in-distribution images with less contrast; None for other sets."""
        return self.metadata["preprocessing"].get("reduction")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns that tell of an image."""
        return ("log_prob", "bits_per_dim", *self.statistics)

    def columns(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Some of `column_names` -> float64 [N] each.

        Raises:
          KeyError: the table lacks one.
        """
        found = {"log_prob": self.log_prob, "bits_per_dim": self.bits_per_dim, **self.statistics}
        return {name: found[name] for name in names}

    def take(self, rows: np.ndarray) -> "ScoreTable":
        """The table of some of its images, given by their place in it."""
        return dataclasses.replace(
            self,
            **{name: getattr(self, name)[rows] for name in _OF_IMAGES},
            statistics={name: values[rows] for name, values in self.statistics.items()},
            source=None if self.source is None else self.source[rows],
        )

    def without(self, columns: Iterable[str]) -> "ScoreTable":
        """The table without some of its statistics."""
        dropped = set(columns)
        kept = {k: v for k, v in self.statistics.items() if k not in dropped}
        return dataclasses.replace(self, statistics=kept)

    def model_facts(self) -> dict[str, Any]:
        """All metadata that must agree between tables that are compared."""
        return {k: v for k, v in self.metadata.items() if k not in (*SET_KEYS, "format")}


def score_metadata(split: "Split", **facts: Any) -> dict[str, Any]:
    """The facts that go with a score table: a table with other facts is another table.

    Args:
      split: the images.
      **facts: `MODEL_KEYS` and, for JSON, further facts of the model, such as its training step.
        Tables are compared only where these agree, so nothing that changes from call to call
        belongs here.

    Raises:
      ValueError: `kind` is not known.
    """
    if facts["kind"] not in KINDS:
        raise ValueError(f"kind: got {facts['kind']!r}; valid is one of {', '.join(KINDS)}.")
    return {
        "format": FORMAT,
        "dataset": split.name,
        "split": split.split,
        "num_images": split.num_images,
        "native_shape": split.native_shape,
        "preprocessing": split.preprocessing,
        "source_version": split.version,
        **facts,
    }


def is_current(path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> bool:
    """Whether `path` is a score table with exactly this metadata, and need not be made again."""
    return metadata.get("format", 1) == FORMAT and has_metadata(path, metadata)


def has_metadata(path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> bool:
    """Whether `path` is a table of any kind that can be read and has exactly this metadata."""
    return facts_of(path) == json.loads(encode_metadata(metadata))


def facts_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata of a table of any kind; nothing where there is none that can be read."""
    try:
        return dict(decode_metadata(pq.read_schema(path)))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_score_table(path: str | os.PathLike[str]) -> ScoreTable:
    """Reads what `likelihood.write_score_table` wrote.

    Raises:
      EvaluationError: there is no such file, or it is damaged.
    """
    return read_table(path, "score table", _from_arrow)


def read_table(
    path: str | os.PathLike[str], kind: str, parse: Callable[[pa.Table], _Parsed]
) -> _Parsed:
    """Reads a Parquet file that --mode=evaluate wrote.

    Args:
      path: of the file.
      kind: of table, in words.
      parse: makes of the columns what is returned.

    Raises:
      EvaluationError: there is no such file, it is damaged, or `parse` finds it so.
    """
    if not os.path.exists(path):
        raise EvaluationError(f"There is no {kind} {path}; --mode=evaluate makes it.")
    try:
        # Not pq.read_table, which takes "a=b" in the path of a work directory for a column.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return parse(file.read())
    except _OtherFormatError as error:
        raise EvaluationError(
            f"The {kind} {path} is of another version of this program; "
            "--mode=evaluate makes it again."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise EvaluationError(
            f"The {kind} {path} is damaged ({first_line(error)}). "
            "Delete it and run --mode=evaluate, which makes it again."
        ) from error


def _from_arrow(table: pa.Table) -> ScoreTable:
    metadata = decode_metadata(table.schema)
    if metadata.get("format", 1) != FORMAT:
        raise _OtherFormatError
    require_keys(metadata)
    arrays = {name: table[name].to_numpy() for name in table.column_names if name not in _SET}
    return ScoreTable(
        **{name: table[name][0].as_py() for name in _SET},
        **{name: arrays.pop(name) for name in _OF_IMAGES},
        source=arrays.pop("source", None),
        statistics=arrays,
        metadata=metadata,
    )


class _OtherFormatError(Exception):
    """A table that is whole, but of another `FORMAT`."""


def require_keys(metadata: Mapping[str, Any]) -> None:
    """Raises a ValueError if a fact that every table carries is missing."""
    missing = [key for key in (*SET_KEYS, *MODEL_KEYS) if key not in metadata]
    if missing:
        raise ValueError(f"the metadata lack {', '.join(missing)}")


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    """The metadata as the text that is stored under `METADATA_KEY`."""
    return json.dumps(metadata, sort_keys=True, allow_nan=False)


def decode_metadata(schema: pa.Schema) -> dict[str, Any]:
    """The metadata that `encode_metadata` made, out of the schema of a table."""
    return json.loads((schema.metadata or {})[METADATA_KEY])
