"""Score tables and samples of a work directory -> its report."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic, trajectory
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import second_order
from tfp_ood.evaluation.images import read_kept
from tfp_ood.evaluation.tables import ScoreTable, read_score_table, table_path
from tfp_ood.reporting import figures, names
from tfp_ood.reporting.run import page as html
from tfp_ood.reporting.run.diagnosis import Evidence, explain
from tfp_ood.reporting.summary import summarize
from tfp_ood.reporting.verdict import verdict
from tfp_ood.workdir import open_workdir

SAMPLES = pathlib.PurePath("samples", "samples.npy")
"""Where in the work directory the samples are: uint8 [N, H, W, C]."""

RECONSTRUCTIONS = SAMPLES.with_name("reconstructions.npy")
"""The same for models that reconstruct: uint8 [sets, 2, N, H, W, C], originals first."""

_FACTS = SAMPLES.with_name("samples.json")


@dataclasses.dataclass(frozen=True)
class ReportResult:
    """What was made."""

    path: pathlib.Path
    """The page."""
    verdict: list[str]
    """The outcome in sentences."""


def write_report(
    workdir: str | os.PathLike[str],
    sets: Sequence[tuple[str, str]],
    config: Mapping[str, Any] | None = None,
) -> ReportResult:
    """Writes WORKDIR/report/: summary.json, index.html, samples.png, and as .png and .pdf
    likelihoods and what of `diagnosis.FIGURES` the sets allow.

    Reads only WORKDIR/scores, WORKDIR/progress and WORKDIR/samples. Where there are no samples,
    there is no samples.png and the page says so; where there are reconstructions, there is a
    reconstructions.png.

    Args:
      workdir: of the run.
      sets: (name, split) of the score tables: in-distribution first, then at least one other.
      config: nested settings to list on the page.

    Raises:
      EvaluationError: a table is missing, damaged or of another model; the samples are damaged;
        or there is nothing to compare with.
    """
    if len(sets) < 2:
        raise EvaluationError(
            "A report compares sets; name at least one in config.data.out_of_distribution."
        )
    workdir = pathlib.Path(workdir)
    paths = _existing_paths(workdir, sets)
    tables = [read_score_table(path) for path in paths]
    if config is not None:
        _check_config(tables, config)
    summary = summarize(tables[0], tables[1:])
    evidence = Evidence(
        workdir / "report",
        tables,
        [read_kept(path, table.metadata) for path, table in zip(paths, tables, strict=True)],
        [entry["label"] for entry in summary["datasets"].values()],
        summary,
        second_order.read(paths[0].with_name(second_order.FILE), tables[0].metadata),
        trajectory.read(open_workdir(workdir).progress),
    )
    folder = evidence.folder
    paths = evidence.files("likelihoods")
    shown = evidence.without_reduced()
    figures.likelihood_histogram([tables[i] for i in shown], summary, paths)
    summary["diagnosis"], sections = explain(evidence)
    samples = _write_grid(workdir / SAMPLES, folder / "samples.png", figures.sample_grid)
    pairs = _write_grid(
        workdir / RECONSTRUCTIONS, folder / "reconstructions.png", figures.reconstruction_grid
    )
    pair_labels = _reconstructed_labels(workdir / _FACTS) if pairs else ()
    page = html.write_page(folder, summary, paths[0], samples, config, pairs, pair_labels, sections)
    atomic.write_json(folder / "summary.json", summary)
    return ReportResult(page, verdict(summary))


def _existing_paths(workdir: pathlib.Path, sets: Sequence[tuple[str, str]]) -> list[pathlib.Path]:
    paths = [table_path(workdir, name, split) for name, split in sets]
    missing = [
        f"{name}/{split}"
        for (name, split), path in zip(sets, paths, strict=True)
        if not path.exists()
    ]
    if missing:
        raise EvaluationError(
            f"No scores of {', '.join(missing)} in {workdir / 'scores'}; "
            "run --mode=evaluate first, which makes them."
        )
    return paths


def _check_config(tables: Sequence[ScoreTable], config: Mapping[str, Any]) -> None:
    """Refuses scores that were made with other settings than those that the page will show.

    Raises:
      EvaluationError: names the first setting that differs.
    """
    num_draws, num_test = config["evaluate"]["num_draws"], config["data"]["num_test"]
    for table in tables:
        facts, differs = table.metadata, ""
        if facts["kind"] == "bound" and facts["num_draws"] != num_draws:
            differs = f"config.evaluate.num_draws was {facts['num_draws']}, now {num_draws}"
        if num_test and table.num_images > num_test:
            differs = f"config.data.num_test was not {num_test}: they are of {table.num_images:,}"
        if differs:
            raise EvaluationError(
                f"The scores of {table.key} were made with other settings ({differs}); "
                "run --mode=evaluate first, which makes them again."
            )


def _write_grid(
    source: pathlib.Path, target: pathlib.Path, draw: Callable[[np.ndarray, pathlib.Path], None]
) -> pathlib.Path | None:
    """The grid's path; None, with an older grid removed, where there is nothing to draw."""
    if not source.exists():
        target.unlink(missing_ok=True)
        return None
    try:
        draw(np.load(source, allow_pickle=False), target)
    except (OSError, ValueError, EOFError, EvaluationError) as error:
        raise EvaluationError(
            f"The samples {source} cannot be shown ({error}). "
            "Delete the file and run --mode=sample, which makes it again."
        ) from error
    return target


def _reconstructed_labels(facts: pathlib.Path) -> list[str]:
    """What the sets are called whose images were reconstructed."""
    try:
        reconstructed = json.loads(facts.read_text())["reconstructed"]
        return names.labels([(name, "test") for name in reconstructed])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{facts} cannot be read ({error}). "
            "Delete the file and run --mode=sample, which makes it again."
        ) from error
