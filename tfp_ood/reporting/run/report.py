"""Score tables and samples of a work directory -> its report."""

import dataclasses
import os
from collections.abc import Sequence

from tfp_ood import trajectory
from tfp_ood.config import Config
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import asked, second_order
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import html, names
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.judged import judged_sets, read_held_out, read_tables
from tfp_ood.reporting.outcome import outcome
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.run.sections import SECTIONS
from tfp_ood.reporting.summary import judge, write
from tfp_ood.workdir import WorkDir, open_workdir

_FURTHER = ("reference", "symmetries", "gradients")
"""What evaluation adds to the score tables if `config.evaluate` asks for it."""


def write_report(
    workdir: str | os.PathLike[str],
    sets: Sequence[tuple[str, str]],
    config: Config | None = None,
) -> ReportResult:
    """Writes WORKDIR/report/: summary.json, index.html, and the figures of the sections.

    With a config it leaves what was asked in WORKDIR/asked.json too. Reads only what
    evaluation, training and sampling left, and starts no TensorFlow.

    Args:
      workdir: of the run.
      sets: (name, split) of the score tables: in-distribution first, then at least one other.
      config: whose settings are listed on the page; the tables have to be of them, and the guard
        has its rate of false alarms.

    Raises:
      EvaluationError: a table is missing, damaged, of another model or of other settings; the
        samples are damaged; or there is nothing to compare with.
    """
    if len(sets) < 2:
        raise EvaluationError(
            "A report compares sets; name at least one in config.data.out_of_distribution."
        )
    evidence = _evidence(open_workdir(workdir), sets, config)
    made = make_sections(evidence)
    numbers = {name: one.numbers for name, one in made.items() if one.numbers is not None}
    summary = dataclasses.replace(evidence.summary, diagnosis=numbers)
    family = names.family(summary.model["family"])
    title = f"Does {family}, trained on {summary.in_set.label}, know what it does not know?"
    parts = [one.html for one in made.values()]
    page = html.write(evidence.workdir.report, title, outcome(summary), parts)
    write(evidence.workdir.summary, summary)
    if config is not None:
        was_asked = {
            "out_of_distribution": [name for name, _ in sets[1:]],
            "num_test": config.data.num_test,
            "false_alarm_rate": _rate(config),
        }
        asked.note(evidence.workdir, was_asked)
    return page


def make_sections(evidence: Evidence) -> dict[str, Section]:
    """All sections that the evidence allows, by name; leaves no figure of an earlier report.

    Raises:
      EvaluationError: tables that do not belong together, or damaged samples.
    """
    made = {}
    for name, section in SECTIONS.items():
        evidence.remove_files(name)
        if (found := section(evidence)) is not None:
            made[name] = found
    return made


def _evidence(workdir: WorkDir, sets: Sequence[tuple[str, str]], config: Config | None) -> Evidence:
    """All that evaluation left of the run.

    Raises:
      EvaluationError: see `write_report`.
    """
    _check_existing(workdir, sets)
    tables = read_tables(workdir, sets)
    if config is not None:
        _check_config(tables, config)
    held_out = read_held_out(workdir, tables[0])
    panel, summary = judge(tables[0], tables[1:], held_out, _rate(config))
    return Evidence(
        workdir,
        judged_sets(workdir, tables, summary),
        summary,
        panel,
        second_order.read(workdir.second_order, tables[0].metadata),
        trajectory.read(workdir.trajectory),
        config,
    )


def _rate(config: Config | None) -> float:
    """Of false alarms."""
    return (config or Config()).export.false_alarm_rate


def _check_existing(workdir: WorkDir, sets: Sequence[tuple[str, str]]) -> None:
    missing = [
        f"{name}/{split}" for name, split in sets if not workdir.score_table(name, split).exists()
    ]
    if missing:
        raise EvaluationError(
            f"No scores of {', '.join(missing)} in {workdir.scores}; "
            "run --mode=evaluate first, which makes them."
        )


def _check_config(tables: Sequence[ScoreTable], config: Config) -> None:
    """Refuses scores that were made with other settings than those that the page will show.

    Raises:
      EvaluationError: names the settings that differ, of the first table of which some do.
    """
    num_draws, num_test = config.evaluate.num_draws, config.data.num_test
    reference = config.evaluate.reference
    place = open_workdir(reference) if reference else None
    is_there = place is not None and place.config.exists()  # tables alone can be read
    weights = place.weights if is_there else None
    for table in tables:
        facts, differ = table.metadata, []
        if facts["kind"] == "bound" and facts["num_draws"] != num_draws:
            differ.append(f"config.evaluate.num_draws was {facts['num_draws']}, now {num_draws}")
        for name in _FURTHER:
            wanted = getattr(config.evaluate, name)
            if bool(wanted) != bool(facts.get(name)):
                differ.append(f"config.evaluate.{name} is now {wanted!r}")
        if is_there and facts.get("reference") and facts["reference"]["weights"] != weights:
            differ.append(
                f"config.evaluate.reference is now {reference!r}, or that was trained again"
            )
        all_images = facts["preprocessing"].get("chosen_at_random_of", table.num_images)
        if table.num_images != min(num_test or all_images, all_images):
            differ.append(
                f"config.data.num_test is now {num_test}: they are of {table.num_images:,} of "
                f"{all_images:,} images"
            )
        if differ:
            raise EvaluationError(
                f"The scores of {table.key} were made with other settings ({'; '.join(differ)}); "
                "run --mode=evaluate first, which makes them again."
            )
