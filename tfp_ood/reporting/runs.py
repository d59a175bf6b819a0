"""Finished runs, read from what evaluation and report left in their work directories."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable, read_score_table, table_path
from tfp_ood.reporting import names
from tfp_ood.reporting.run.analysis import reduction
from tfp_ood.workdir import open_workdir


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model and the sets that it was last reported on."""

    label: str
    """Family and work directory, different for every run."""
    config: Mapping[str, Any]
    """What it was trained with (`Config.training_facts`)."""
    summary: Mapping[str, Any]
    """`report/summary.json`."""
    tables: Sequence[ScoreTable]
    """Of the in-distribution set, then of the foreign ones but those of reduced contrast."""

    def entry(self, table: ScoreTable) -> Mapping[str, Any]:
        """What the summary says of a set."""
        return self.summary["datasets"][table.key]

    def metrics(self, table: ScoreTable) -> Mapping[str, Any]:
        """The metrics of likelihood as a detector of a foreign set."""
        return self.entry(table)["scores"]["log_prob"]


def read_runs(workdirs: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Reads runs.

    Args:
      workdirs: at least one, all different.

    Raises:
      EvaluationError: one is given twice, or is no reported run.
    """
    roots = [open_workdir(path).root for path in workdirs]
    twice = sorted({str(root) for root in roots if roots.count(root) > 1})
    if twice:
        raise EvaluationError(f"--workdirs: given twice: {', '.join(twice)}.")
    short = names.labels([(f"folder:{root}", "") for root in roots])
    return [_read(root, name) for root, name in zip(roots, short, strict=True)]


def open_page_folder(
    workdirs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> pathlib.Path:
    """The folder of a page about several runs, absolute.

    Raises:
      EvaluationError: it is one of the runs.
    """
    root = open_workdir(folder).root
    if root in {open_workdir(path).root for path in workdirs}:
        raise EvaluationError(
            f"--workdir: {root} is one of the runs, whose own report it would replace; "
            "valid is another folder."
        )
    return root


def _read(root: pathlib.Path, name: str) -> Run:
    try:
        config = json.loads((root / "config.json").read_text())
        summary = json.loads((root / "report" / "summary.json").read_text())
        keys = list(summary["datasets"])
        keys.sort(key=lambda key: key != summary["in_distribution_key"])
        for key in keys[1:]:  # the newest of what is read below
            summary["datasets"][key]["scores"]["log_prob"]["auroc_interval"]
        family = names.family(summary["model"]["family"])
        summary["model"]["num_parameters"]
        summary["diagnosis"].get("second_order", {"sets": {}})["sets"]
        config["seed"], config["train"]["num_steps"], config["train"]["batch_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"--workdirs: {root} is not a run with a current report ({error}); "
            "make one with --mode=evaluate and --mode=report."
        ) from error
    tables = [read_score_table(table_path(root, *key.rsplit("/", 1))) for key in keys]
    for table in tables:
        counted = summary["datasets"][table.key]["num_images"]
        if table.model_facts() != summary["model"] or table.num_images != counted:
            raise EvaluationError(
                f"--workdirs: the report of {root} is older than its scores of {table.key}; "
                "make it again with --mode=report."
            )
    shown = [table for table in tables if not reduction(table)]
    return Run(f"{family} ({name})", config, summary, shown)
