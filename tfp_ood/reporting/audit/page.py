"""An audit: which foreign images would likelihood let through, and what would the guard do?"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic
from tfp_ood.detectors import conformal
from tfp_ood.detectors.conformal import Calibration
from tfp_ood.evaluation.images import read_kept
from tfp_ood.evaluation.tables import ScoreTable, read_score_table, table_path
from tfp_ood.reporting import html
from tfp_ood.reporting.audit import plots as audit_plots
from tfp_ood.reporting.run.report import ReportResult
from tfp_ood.reporting.summary import summarize
from tfp_ood.reporting.verdict import is_changed_own
from tfp_ood.workdir import open_workdir

_MOST = 0.5
_FEW = 0.05


def write_audit(
    workdir: str | os.PathLike[str], sets: Sequence[tuple[str, str]], false_alarm_rate: float
) -> ReportResult:
    """Writes WORKDIR/audit/: index.html, audit.json, and images as PNG and PDF.

    Reads only WORKDIR/scores.

    Args:
      workdir: of a run whose validation images are scored too (`--mode=export` does it).
      sets: (name, split) of the score tables: in-distribution first, then at least one other.
      false_alarm_rate: share of own images that may be flagged, by likelihood and by the guard.

    Raises:
      EvaluationError: a table is missing, damaged or of another model.
      ExportError: too few validation images for the false-alarm rate.
    """
    places = open_workdir(workdir)
    workdir = places.root
    paths = [table_path(workdir, *names) for names in sets]
    tables = [read_score_table(path) for path in paths]
    held_out = read_score_table(table_path(workdir, sets[0][0], "validation"))
    calibration = conformal.calibrate(held_out.log_prob, false_alarm_rate)
    summary = summarize(tables[0], tables[1:])
    found = {table.key: judge(table, calibration) for table in tables}
    kept = [read_kept(path, table.metadata) for path, table in zip(paths, tables, strict=True)]
    folder = places.audit
    pictures = [folder / "images.png", folder / "images.pdf"]
    labels = {key: entry["label"] for key, entry in summary["datasets"].items()}
    audit_plots.likeliest(tables, kept, list(labels.values()), calibration, pictures)
    sentences = verdict(found, labels, tables[0].key, false_alarm_rate)
    sections = [
        html.verdict_list(sentences),
        _pictures_section(pictures[0], labels),
        _table_section(found, summary, tables[0].key, false_alarm_rate),
        html.section("How to read this", _HOW_TO_READ),
        _skipped_section(tables, labels),
    ]
    title = f"Would likelihood have caught it? An audit of {labels[tables[0].key]}"
    path = html.write(folder, title, sections)
    facts = {"false_alarm_rate": false_alarm_rate, "verdict": sentences, "sets": found}
    atomic.write_json(folder / "audit.json", facts)
    return ReportResult(path, sentences)


_HOW_TO_READ = """<ul>
<li>Both detectors are set on the model&rsquo;s own validation images, so that they flag the same
share of images of that kind. <b>Likelihood</b> flags those that are too unlikely. <b>The guard</b>
flags both ends: a too-likely image is as suspicious as a too-unlikely one.</li>
<li>What neither flags has an ordinary likelihood. That is no proof that it belongs: the guard knows
nothing but the likelihood.</li>
<li>Sets made of the own test images (with less contrast, blurred, ...) show which damage would go
unnoticed. Sets that were resized or converted while the own images were not are told apart by that
alone: see the preparation in the run&rsquo;s report.</li>
</ul>"""


def judge(table: ScoreTable, calibration: Calibration) -> dict[str, Any]:
    """`num_images` of a set, and shares of them: `passes_likelihood`, `passes_guard`, and
    `flagged_as_too_likely`, what the guard flags for that."""
    said = conformal.verdicts(calibration, table.log_prob)
    too_unlikely = conformal.too_unlikely(calibration, table.log_prob)
    flagged = said["is_out_of_distribution"]
    return {
        "num_images": table.num_images,
        "passes_likelihood": float(np.mean(~too_unlikely)),
        "passes_guard": float(np.mean(~flagged)),
        "flagged_as_too_likely": float(np.mean(flagged & (said["percentile"] > 50.0))),
    }


def verdict(
    found: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, str],
    own: str,
    false_alarm_rate: float,
) -> list[str]:
    """The outcome in sentences."""
    foreign = {key: entry for key, entry in found.items() if key != own}
    let = [key for key, entry in foreign.items() if entry["passes_likelihood"] > _MOST]
    passed = [key for key in foreign if foreign[key]["passes_guard"] > _MOST]
    stopped = [key for key in foreign if foreign[key]["passes_guard"] <= _FEW]

    def shown(keys: Sequence[str], figure: str) -> str:
        return ", ".join(f"{labels[key]} ({foreign[key][figure]:.0%})" for key in keys) or "none"

    return [
        f"A threshold on likelihood would let through most images of {len(let)} of {len(foreign)} "
        f"sets: {shown(let, 'passes_likelihood')}.",
        f"The guard would let through most images of {len(passed)}: "
        f"{shown(passed, 'passes_guard')}; it stops nearly all (at least {1 - _FEW:.0%}) of "
        f"{len(stopped)}: {shown(stopped, 'passes_guard')}.",
        f"Of {found[own]['num_images']:,} own test images likelihood flags "
        f"{1 - found[own]['passes_likelihood']:.1%} and the guard "
        f"{1 - found[own]['passes_guard']:.1%}, where {false_alarm_rate:.1%} were allowed.",
    ]


def _pictures_section(path: pathlib.Path, labels: Mapping[str, str]) -> str:
    caption = (
        "The likeliest images of every set. Orange frame, P: passes both. Blue frame, G: only the "
        "guard stops it. Gray frame, L: a threshold on likelihood stops it."
    )
    alt = f"The likeliest images of {', '.join(labels.values())}, and which detector stops them"
    return html.section("What would pass", html.figure("extremes", path, alt, caption))


def _table_section(
    found: Mapping[str, Mapping[str, Any]],
    summary: Mapping[str, Any],
    own: str,
    false_alarm_rate: float,
) -> str:
    rows = []
    for key, entry in found.items():
        about = summary["datasets"][key]
        auroc = (
            "&ndash;" if key == own else html.with_interval(about["scores"]["log_prob"], "auroc")
        )
        rows.append(
            [
                html.escape(about["label"]),
                f"{entry['passes_likelihood']:.1%}",
                f"{entry['passes_guard']:.1%}",
                f"{entry['flagged_as_too_likely']:.1%}",
                auroc,
                f"{about['bits_per_dim_mean']:.3f}",
                f"{entry['num_images']:,}",
            ]
        )
    header = ["Set", "pass likelihood", "pass the guard", "too likely for it", "AUROC", "bits/dim",
              "n"]  # fmt: skip
    caption = f"Shares of images, both detectors set to {false_alarm_rate:.1%} of false alarms"
    return html.section("Figures", html.table(caption, header, rows, "metrics"))


def _skipped_section(tables: Sequence[ScoreTable], labels: Mapping[str, str]) -> str:
    """Files that could not be read; "" if there are none."""
    rows = [
        [labels[table.key], name, reason]
        for table in tables
        # Sets made of the own images lack the same files.
        if not is_changed_own(table.metadata["preprocessing"])
        for name, reason in table.metadata["preprocessing"].get("skipped", [])
    ]
    if not rows:
        return ""
    caption = f"{len(rows):,} files were left out"
    return html.section("Files that could not be read", html.facts_table(caption, rows))
