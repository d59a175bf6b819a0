"""An audit: which foreign images would likelihood let through, and what would the guard do?"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfp_ood import atomic, detectors
from tfp_ood.detectors import conformal
from tfp_ood.detectors.conformal import Judgement
from tfp_ood.reporting import html
from tfp_ood.reporting.audit import plots
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.judged import JudgedSet, judged_sets, read_tables
from tfp_ood.reporting.outcome import is_changed
from tfp_ood.reporting.summary import summarize
from tfp_ood.workdir import open_workdir

_MOST = 0.5
_FEW = 0.05
_SHARES = ("passes_likelihood", "passes_guard", "flagged_as_too_likely")


def write_audit(
    workdir: str | os.PathLike[str], sets: Sequence[tuple[str, str]], false_alarm_rate: float
) -> ReportResult:
    """Writes WORKDIR/audit/: index.html, audit.json, and images as PNG and PDF.

    Reads only score tables.

    Args:
      workdir: of a run.
      sets: (name, split) of the score tables: in-distribution first, then at least one other.
      false_alarm_rate: share of own images that may be flagged, by likelihood and by the guard.

    Raises:
      EvaluationError: a table is missing, damaged or of another model.
      ExportError: too few validation images for the false-alarm rate.
    """
    places = open_workdir(workdir)
    tables = read_tables(places, sets)
    held_out = read_tables(places, [(sets[0][0], "validation")])
    guard = conformal.guard(detectors.DETECTORS[detectors.LIKELIHOOD], held_out, false_alarm_rate)
    summary = summarize(tables[0], tables[1:], held_out)
    judged = judged_sets(places, tables, summary)
    found = {one.key: guard.judge([one.table]) for one in judged}
    facts = {key: _facts(one) for key, one in found.items()}
    pictures = plots.likeliest(judged, found)
    sentences = audit_outcome(facts, judged, false_alarm_rate)
    sections = [
        _pictures_section(pictures, places.audit, judged),
        _table_section(facts, judged, detectors.fitted(held_out, tables), false_alarm_rate),
        html.section("How to read this", _HOW_TO_READ),
        _skipped_section(judged),
    ]
    title = f"Would likelihood have caught it? An audit of {judged[0].label}"
    page = html.write(places.audit, title, sentences, sections)
    said = {"false_alarm_rate": false_alarm_rate, "verdict": sentences, "sets": facts}
    atomic.write_json(places.audit / "audit.json", said)
    return page


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


def _facts(judgement: Judgement) -> dict[str, Any]:
    """What audit.json tells of a set: shares of its images."""
    return {
        "num_images": len(judgement.flagged),
        "passes_likelihood": float(np.mean(~judgement.beyond_threshold)),
        "passes_guard": float(np.mean(~judgement.flagged)),
        "flagged_as_too_likely": float(np.mean(judgement.too_low)),
    }


def audit_outcome(
    facts: Mapping[str, Mapping[str, Any]], judged: Sequence[JudgedSet], false_alarm_rate: float
) -> list[str]:
    """The outcome in sentences, from what audit.json tells of every set."""
    in_facts, labels = facts[judged[0].key], {one.key: one.label for one in judged}
    out_facts = {one.key: facts[one.key] for one in judged[1:]}
    let = [key for key, entry in out_facts.items() if entry["passes_likelihood"] > _MOST]
    passed = [key for key in out_facts if out_facts[key]["passes_guard"] > _MOST]
    stopped = [key for key in out_facts if out_facts[key]["passes_guard"] <= _FEW]

    def shown(keys: Sequence[str], figure: str) -> str:
        return ", ".join(f"{labels[key]} ({out_facts[key][figure]:.0%})" for key in keys) or "none"

    return [
        f"A threshold on likelihood would let through most images of {len(let)} of "
        f"{len(out_facts)} sets: {shown(let, 'passes_likelihood')}.",
        f"The guard would let through most images of {len(passed)}: "
        f"{shown(passed, 'passes_guard')}; it stops nearly all (at least {1 - _FEW:.0%}) of "
        f"{len(stopped)}: {shown(stopped, 'passes_guard')}.",
        f"Of {in_facts['num_images']:,} own test images likelihood flags "
        f"{1 - in_facts['passes_likelihood']:.1%} and the guard "
        f"{1 - in_facts['passes_guard']:.1%}, where {false_alarm_rate:.1%} were allowed.",
    ]


def _pictures_section(pictures: Figure, folder: pathlib.Path, judged: Sequence[JudgedSet]) -> str:
    caption = (
        "The likeliest images of every set. Orange frame, P: passes both. Blue frame, G: only the "
        "guard stops it. Gray frame, L: a threshold on likelihood stops it."
    )
    labels = ", ".join(one.label for one in judged)
    alt = f"The likeliest images of {labels}, and which detector stops them"
    figure = html.drawn("extremes", pictures, folder / "images", alt, caption)
    return html.section("What would pass", figure)


def _table_section(
    facts: Mapping[str, Mapping[str, Any]],
    judged: Sequence[JudgedSet],
    judges: Mapping[str, detectors.Detector],
    false_alarm_rate: float,
) -> str:
    rows = []
    for one in judged:
        entry = facts[one.key]
        shares = (f"{entry[name]:.1%}" for name in _SHARES)
        aurocs = (
            html.with_interval(one.about.scores[name], "auroc") if one.about.scores else html.DASH
            for name in judges
        )
        bits = f"{one.about.bits_per_dim_mean:.3f}"
        rows.append([one.label, *shares, *aurocs, bits, f"{entry['num_images']:,}"])
    aurocs = (
        "AUROC" if name == detectors.LIKELIHOOD else f"AUROC, {judge.title}"
        for name, judge in judges.items()
    )
    header = ["Set", "pass likelihood", "pass the guard", "too likely for it", *aurocs, "bits/dim",
              "n"]  # fmt: skip
    caption = f"Shares of images, both detectors set to {false_alarm_rate:.1%} of false alarms"
    return html.section("Figures", html.table(caption, header, rows, "metrics"))


def _skipped_section(judged: Sequence[JudgedSet]) -> str:
    """Files that could not be read; "" if there are none."""
    rows = [
        [one.label, name, reason]
        for one in judged
        # Sets made of the own images lack the same files.
        if not is_changed(one.about.preprocessing)
        for name, reason in one.about.preprocessing.get("skipped", [])
    ]
    if not rows:
        return ""
    caption = f"{len(rows):,} files were left out"
    return html.section("Files that could not be read", html.table(caption, [], rows, "facts"))
