"""Finished runs, read from what evaluation and report left in their work directories."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import names, summary
from tfp_ood.reporting.judged import JudgedSet, JudgedSets, read_tables, without_reduced
from tfp_ood.reporting.summary import Summary
from tfp_ood.workdir import WorkDir, open_workdir


@dataclasses.dataclass(frozen=True)
class Run(JudgedSets):
    """One trained model and the sets that it was last reported on."""

    label: str
    """Family and work directory, different for every run."""
    workdir: WorkDir
    config: Mapping[str, Any]
    """What it was trained with (`Config.training_facts`)."""
    summary: Summary
    sets: Sequence[JudgedSet]
    """The in-distribution set, then the others but those of reduced contrast; without images."""

    @property
    def weights(self) -> str:
        """`weights_id` of the model."""
        return self.summary.model["weights"]


def read_runs(workdirs: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Reads runs.

    Args:
      workdirs: at least one, all different.

    Raises:
      EvaluationError: one is given twice, or is no reported run.
    """
    places = [open_workdir(path) for path in workdirs]
    roots = [place.root for place in places]
    alike = [sum(place.is_same(other) for other in places) for place in places]
    twice = sorted({str(root) for root, count in zip(roots, alike, strict=True) if count > 1})
    if twice:
        raise EvaluationError(f"--workdirs: given twice: {', '.join(twice)}.")
    short = names.labels([(f"folder:{root}", "") for root in roots])
    return [_read(place, name) for place, name in zip(places, short, strict=True)]


def open_page_folder(
    workdirs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> pathlib.Path:
    """The folder of a page about several runs, FOLDER/report, absolute.

    Raises:
      EvaluationError: it is one of the runs, or another run.
    """
    place = open_workdir(folder)
    is_given = any(place.is_same(open_workdir(path)) for path in workdirs)
    if is_given or place.config.exists():
        which = "one of the runs" if is_given else "a run"
        raise EvaluationError(
            f"--workdir: {place.root} is {which}, whose own report it would replace; "
            "valid is another folder."
        )
    return place.report


def _read(workdir: WorkDir, name: str) -> Run:
    root = workdir.root
    try:
        config = json.loads(workdir.config.read_text())
        found = summary.read(workdir.summary)
        config["seed"], config["train"]["num_steps"], config["train"]["batch_size"]
        family = names.family(found.model["family"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"--workdirs: {root} is not a run with a current report ({error}); "
            "make one with --mode=evaluate and --mode=report."
        ) from error
    tables = read_tables(workdir, [tuple(key.rsplit("/", 1)) for key in found.datasets])
    for table in tables:
        counted = found.datasets[table.key].num_images
        if table.model_facts() != found.model or table.num_images != counted:
            raise EvaluationError(
                f"--workdirs: the report of {root} is older than its scores of {table.key}; "
                "make it again with --mode=report."
            )
    sets = [JudgedSet(table, found.datasets[table.key]) for table in tables]
    return Run(f"{family} ({name})", workdir, config, found, without_reduced(sets))
