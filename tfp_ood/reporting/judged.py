"""A set that was judged: its score table, what was kept of its images, and its numbers."""

import dataclasses
from collections.abc import Iterable, Sequence

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.images import Kept, read_kept
from tfp_ood.evaluation.tables import ScoreTable, read_score_table
from tfp_ood.reporting.summary import SetSummary, Summary, check_tables
from tfp_ood.workdir import WorkDir


@dataclasses.dataclass(frozen=True)
class JudgedSet:
    """One set under one model."""

    table: ScoreTable
    about: SetSummary
    """What the summary says of it."""
    kept: Kept | None = None
    """The extreme images and the moments of the pixels, where they were read."""

    @property
    def key(self) -> str:
        """Name and split in one, such as "mnist/test"."""
        return self.table.key

    @property
    def label(self) -> str:
        """What it is called."""
        return self.about.label


class JudgedSets:
    """What holds sets under one model."""

    sets: Sequence[JudgedSet]

    @property
    def in_set(self) -> JudgedSet:
        """The in-distribution set, which is the first."""
        return self.sets[0]

    @property
    def out_sets(self) -> Sequence[JudgedSet]:
        """All other sets."""
        return self.sets[1:]


def read_tables(workdir: WorkDir, sets: Sequence[tuple[str, str]]) -> list[ScoreTable]:
    """The score tables of sets, given as (name, split).

    Raises:
      EvaluationError: one is missing, damaged, or of weights that are not there any more, or they
        are beside a training that has not ended.
    """
    tables, weights = (
        [read_score_table(workdir.score_table(*names)) for names in sets],
        workdir.weights,
    )
    if weights is None and workdir.backup.exists():
        raise EvaluationError(
            f"The training in {workdir.root} has not ended, and the scores there are of another. "
            "Run --mode=train, which goes on with it, and then --mode=evaluate."
        )
    for table in tables:
        if weights and table.metadata["weights"] != weights:  # tables alone can be read
            raise EvaluationError(
                f"The scores of {table.key} in {workdir.scores} are older than the weights in "
                f"{workdir.model}: they are of another training. Run --mode=evaluate, which makes "
                "them again."
            )
    return tables


def read_held_out(workdir: WorkDir, in_table: ScoreTable) -> list[ScoreTable]:
    """The table of the in-distribution images that were held out of the training, in a list.

    The list is empty where there is none of the weights of `in_table`.

    Raises:
      EvaluationError: it is damaged, or was asked otherwise than `in_table`, as where an evaluation
        was stopped.
    """
    path = workdir.score_table(in_table.dataset, "validation")
    found = [read_score_table(path)] if path.exists() else []
    keys, facts = ("config_hash", "weights"), in_table.metadata
    own = [one for one in found if all(one.metadata[key] == facts[key] for key in keys)]
    check_tables([in_table], own)
    return own


def judged_sets(
    workdir: WorkDir, tables: Iterable[ScoreTable], summary: Summary
) -> list[JudgedSet]:
    """The tables with what was kept of their images and what the summary says of them.

    Raises:
      EvaluationError: the images are missing, damaged or of another table.
    """
    return [
        JudgedSet(
            table,
            summary.datasets[table.key],
            read_kept(workdir.score_table(table.dataset, table.split), table.metadata),
        )
        for table in tables
    ]


def without_reduced(sets: Iterable[JudgedSet]) -> list[JudgedSet]:
    """The sets that are not the in-distribution images with less contrast."""
    return [one for one in sets if not one.table.reduction]
