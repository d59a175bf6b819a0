"""Model x data set -> score table (see `tables`), streamed."""

import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tqdm

from tfp_ood import atomic, units
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import images, tables

if TYPE_CHECKING:  # this module needs no TensorFlow of its own
    from tfp_ood.data.pipeline import Split

_ROWS_PER_GROUP = 8192  # what is held in memory before it is written: under 1 MB
_NUM_SHOWN = 5
_Item = TypeVar("_Item")

Scorer = Callable[[Any], Mapping[str, Any]]
"""uint8 images [B, H, W, C] -> statistics, of which `np.asarray` makes float32 [B] each, in nats;
at least "log_prob"."""


def write_score_table(
    path: pathlib.Path,
    scorer: Scorer,
    split: "Split",
    batches: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, Any],
    progress: bool = True,
) -> None:
    """Scores every image of a set and writes the table, row group by row group.

    One pass of the model leaves all that figures and scores are computed from: the table, and
    beside it what is kept of the images (`images.Kept`). Memory does not grow with the number of
    images, and `path` is replaced only by a whole table.

    Args:
      path: where; see `WorkDir.score_table`.
      scorer: the model's statistics of a batch of images.
      split: names the set and says how many images it has.
      batches: dicts of "index" int64 [B], "image" uint8 [B, H, W, C] and "label" int64 [B];
        every image of `split` once, in the order of the index (`data.pipeline.scoring_batches`).
      metadata: what `tables.score_metadata` gave.
      progress: show a bar with images/s on stderr.

    Raises:
      EvaluationError: images are missing, repeated or out of order, or a statistic is not
        finite. All images are scored before the latter is said, with their number.
      ValueError: the metadata lack a key, or a statistic is not one number per image.
    """
    tables.require_keys(metadata)
    audit, keeper = _Audit(split), images.Keeper(split.num_images)
    title = f"scoring {audit.key}"
    with (
        atomic.replacing(path) as temporary,
        tqdm.tqdm(
            total=split.num_images, desc=title, unit=" images", leave=False, disable=not progress
        ) as bar,
    ):
        rows = _scored_rows(scorer, batches, audit, keeper, bar)
        _write_row_groups(temporary, rows, {tables.METADATA_KEY: tables.encode_metadata(metadata)})
        audit.finish()
        # Before the table: where there is a table, this is there too.
        images.write_kept(path, keeper.kept(), metadata)


def _scored_rows(
    scorer: Scorer,
    batches: Iterable[Mapping[str, Any]],
    audit: "_Audit",
    keeper: images.Keeper,
    bar: tqdm.tqdm,
) -> Iterator[pa.RecordBatch]:
    """The table's rows, a batch at a time."""

    def started(batch: Mapping[str, Any]) -> tuple[Any, ...]:
        return batch, scorer(batch["image"])

    # One batch ahead, so that an accelerator does not wait for what is done with the last one.
    for batch, scores in _ahead(map(started, batches)):
        index, pixels = np.asarray(batch["index"]), np.asarray(batch["image"])
        statistics = {k: np.asarray(v, np.float64) for k, v in scores.items()}
        audit.see(index, statistics)
        log_prob = statistics.pop("log_prob")
        keeper.see(index, pixels, log_prob)
        columns = {
            "dataset": _constant_column(audit.split.name, len(index)),
            "split": _constant_column(audit.split.split, len(index)),
            "index": index,
            "label": np.asarray(batch["label"]),
            **_sources(audit.split, index),
            "log_prob": log_prob,
            "bits_per_dim": units.bits_per_dim(log_prob, pixels[0].size),
            **statistics,
            **images.columns(pixels),
        }
        bar.update(len(index))
        yield pa.RecordBatch.from_pydict(columns)


def _ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The items; each is given out when the next one is made."""
    return (item for item, _ in itertools.pairwise(itertools.chain(items, [None])))


def _sources(split: "Split", index: np.ndarray) -> dict[str, pa.Array]:
    """The column that tells where images are from, of sets that have one."""
    if split.source is None:
        return {}
    return {"source": pa.array([split.source(int(number)) for number in index], pa.string())}


def _constant_column(value: str, length: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(length, np.int32), [value])


def _write_row_groups(
    path: pathlib.Path, rows: Iterator[pa.RecordBatch], metadata: Mapping[bytes, str]
) -> None:
    """Writes batches of any size as row groups of about `_ROWS_PER_GROUP`."""
    first = next(rows, None)
    if first is None:  # an empty set: nothing to write, and the audit says so
        return
    schema = first.schema.with_metadata(metadata)
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        pending = [first]
        for batch in rows:
            pending.append(batch)
            if sum(map(len, pending)) >= _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_batches(pending).cast(schema))
                pending = []
        if pending:
            writer.write_table(pa.Table.from_batches(pending).cast(schema))


class _Audit:
    """What must hold over all batches: every image once, in order, with finite statistics."""

    def __init__(self, split: "Split"):
        self.split, self.key = split, f"{split.name}/{split.split}"
        self._num_seen, self._num_bad = 0, 0
        self._first_bad: list[int] = []

    def see(self, index: np.ndarray, statistics: Mapping[str, np.ndarray]) -> None:
        """Checks one batch; counts non-finite images, to be reported together by `finish`."""
        expected = np.arange(self._num_seen, self._num_seen + len(index))
        if not np.array_equal(index, expected):
            wrong = int(np.flatnonzero(index != expected)[0])
            raise EvaluationError(
                f"{self.key}: image {index[wrong]} came where image {expected[wrong]} was due; "
                "every image must be scored once, in order."
            )
        for name, values in statistics.items():
            if values.shape != index.shape:
                raise ValueError(f"{name}: shape {values.shape} for {len(index)} images")
        finite = np.logical_and.reduce([np.isfinite(v) for v in statistics.values()])
        bad = index[~finite].tolist()
        self._num_seen += len(index)
        self._num_bad += len(bad)
        self._first_bad = (self._first_bad + bad)[:_NUM_SHOWN]

    def finish(self) -> None:
        """Raises an EvaluationError if images were missing or not finite."""
        num_images = self.split.num_images
        if self._num_seen != num_images or not num_images:
            raise EvaluationError(
                f"{self.key}: {self._num_seen:,} images came where {num_images:,} were "
                "expected (and at least one is needed); check that the set is complete."
            )
        if self._num_bad:
            shown = ", ".join(map(str, self._first_bad))
            more = ", ..." if self._num_bad > len(self._first_bad) else ""
            raise EvaluationError(
                f"{self.key}: the likelihood of {self._num_bad:,} of {num_images:,} images "
                f"is not a finite number (index {shown}{more}). Nothing was written. If it is "
                "all of them, the training diverged: train again, in a new --workdir, with a lower "
                "config.train.learning_rate or config.train.clip_norm; if it is a few, try "
                "config.train.precision=float32, or look at those images."
            )
