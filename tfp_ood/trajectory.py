"""Likelihoods of some images of every set at every checkpoint of a training: its files.

WORKDIR/trajectory/STEP.parquet has the columns dataset, split, index, log_prob (float64, nats per
image, of one draw) and bits_per_dim. A training that was killed and goes on replaces the files of
the steps that it makes again.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfp_ood import atomic, units
from tfp_ood.errors import EvaluationError, first_line


@dataclasses.dataclass(frozen=True)
class Scored:
    """Likelihoods of some images of one set at one checkpoint."""

    dataset: str
    split: str
    index: np.ndarray
    """int64 [N], of the images in their set."""
    log_prob: np.ndarray
    """float64 [N], nats per image."""
    bits_per_dim: np.ndarray
    """float64 [N]."""

    @property
    def key(self) -> str:
        """Name and split in one, such as "mnist/test"."""
        return f"{self.dataset}/{self.split}"


def scored(
    dataset: str, split: str, index: np.ndarray, log_prob: np.ndarray, num_dims: int
) -> Scored:
    """A record from log-likelihoods, nats per image [N], of images with H * W * C dimensions."""
    log_prob = np.asarray(log_prob, np.float64)
    return Scored(dataset, split, index, log_prob, units.bits_per_dim(log_prob, num_dims))


def write(folder: str | os.PathLike[str], step: int, sets: Sequence[Scored]) -> None:
    """Writes the file of a checkpoint, whole or not at all."""
    rows = []
    for one in sets:
        key = {name: pa.repeat(getattr(one, name), len(one.index)) for name in ("dataset", "split")}
        rows.append(pa.table({**vars(one), **key}))
    with atomic.replacing(pathlib.Path(folder) / f"{step:08}.parquet") as temporary:
        pq.write_table(pa.concat_tables(rows), temporary)


def read(folder: str | os.PathLike[str]) -> dict[int, dict[str, Scored]]:
    """Training step, ascending -> key of a set -> its likelihoods; empty where nothing is kept.

    Raises:
      EvaluationError: a file is damaged.
    """
    paths = sorted(pathlib.Path(folder).glob("[0-9]*.parquet"))
    return {int(path.stem): _read(path) for path in paths}


def _read(path: pathlib.Path) -> dict[str, Scored]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        columns = {one.name: table[one.name].to_numpy() for one in dataclasses.fields(Scored)}
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(
            f"{path} is damaged ({first_line(error)}). Delete it: the likelihood over training is "
            "then shown without this step."
        ) from error
    datasets, splits = columns.pop("dataset"), columns.pop("split")
    found = {}
    for dataset, split in dict.fromkeys(zip(datasets, splits, strict=True)):
        chosen = (datasets == dataset) & (splits == split)
        one = Scored(dataset, split, **{name: c[chosen] for name, c in columns.items()})
        found[one.key] = one
    return found
