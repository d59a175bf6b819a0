"""An audit: which foreign images would likelihood let through, and what would the guard do?"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfp_ood import atomic
from tfp_ood.detectors.guard import Judgement
from tfp_ood.reporting import html, left_out, reasons
from tfp_ood.reporting.audit import plots
from tfp_ood.reporting.by_detector import auroc_table, unusual_table
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.judged import JudgedSet, judged_sets, read_tables
from tfp_ood.reporting.outcome import CAUGHT, MISSED, caution_of_few, file_cautions
from tfp_ood.reporting.shares import between, percent, rate
from tfp_ood.reporting.summary import judge
from tfp_ood.workdir import open_workdir

_MOST, _FEW = 1 - MISSED, 1 - CAUGHT
"""Shares of a set that pass."""
_SHARES = ("passes_likelihood", "passes_guard")


def write_audit(
    workdir: str | os.PathLike[str], sets: Sequence[tuple[str, str]], false_alarm_rate: float
) -> ReportResult:
    """Writes WORKDIR/audit/: index.html, audit.json, and images as PNG and PDF.

    Reads only what evaluation left, score tables and images, and starts no TensorFlow.

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
    panel, summary = judge(tables[0], tables[1:], held_out, false_alarm_rate)
    guard = panel.guard
    judged = judged_sets(places, tables, summary)
    found = {one.key: guard.judge([one.table]) for one in judged}
    facts = {key: _facts(one) for key, one in found.items()}
    pictures = plots.likeliest(judged, found)
    sentences = audit_outcome(facts, judged, false_alarm_rate)
    sections = [
        _pictures_section(pictures, places.audit, judged),
        _table_section(facts, judged, list(panel.detectors), false_alarm_rate),
        _reasons_section(facts, judged, false_alarm_rate),
        html.section("How to read this", _HOW_TO_READ),
        _skipped_section(judged),
    ]
    title = f"Would likelihood have caught it? An audit of {judged[0].label}"
    page = html.write(places.audit, title, sentences, sections)
    said = {
        "weights": summary.model["weights"],
        "false_alarm_rate": false_alarm_rate,
        "verdict": sentences,
        "sets": facts,
    }
    atomic.write_json(places.audit / "audit.json", said)
    return page


_HOW_TO_READ = """<ul>
<li>Both are set on the model&rsquo;s own validation images, so that they flag the same share of
images of that kind. <b>Likelihood</b> flags those that are too unlikely. <b>The guard</b> flags
those that all detectors combined find too rare; the reason is what single detectors say of an image
at the same rate.</li>
<li>What neither flags is usual for every detector together. That is no proof that it belongs: the
guard knows nothing but what its detectors measure.</li>
<li><b>The rate of false alarms is yours to choose</b>: the same command with
<code>--config.export.false_alarm_rate=0.01</code> sets both thresholds anew, here and in the
export, without training or scoring. A rate r needs at least 2/r &minus; 3 held-out images.</li>
<li>Of a single image the exported guard tells: its <b>p-value</b>, the share of held-out own images
that are at least as unusual to all detectors together, the image counted among them; it is flagged
where that is at most the rate. The <b>percentile</b> of its likelihood: 0 where it is unlikelier
than all held-out images, 100 where it is likelier; both ends can mean foreign. And the
<b>reasons</b>, detectors to which alone it is as rare; it can be flagged without any, for what
several find a little rare.</li>
<li>Whether many new images together are still like these:
<code>--mode=monitor --images=folder:PATH</code>.</li>
<li>Sets made of the own test images (with less contrast, blurred, ...) show which damage would go
unnoticed. Sets that were resized or converted while the own images were not are told apart by that
alone: see the preparation in the run&rsquo;s report.</li>
</ul>"""


def _facts(judgement: Judgement) -> dict[str, Any]:
    """What audit.json tells of a set: shares of its images."""
    found = reasons.main(judgement)
    return {
        "num_images": len(judgement.flagged),
        "passes_likelihood": float(np.mean(~judgement.beyond_likelihood)),
        "passes_guard": float(np.mean(~judgement.flagged)),
        "flagged_interval": list(judgement.share_flagged_interval),
        "main_reason": found and {"words": found[0], "share_of_flagged": found[1]},
        "fired": reasons.shares(judgement),
    }


def audit_outcome(
    facts: Mapping[str, Mapping[str, Any]], judged: Sequence[JudgedSet], false_alarm_rate: float
) -> list[str]:
    """The outcome in sentences, from what audit.json tells of every set."""
    in_facts, labels = facts[judged[0].key], {one.key: one.label for one in judged}
    out_facts = {one.key: facts[one.key] for one in judged[1:]}
    by_likelihood = {key: one["passes_likelihood"] for key, one in out_facts.items()}
    by_guard = {key: one["passes_guard"] for key, one in out_facts.items()}
    let = {key: share for key, share in by_likelihood.items() if share > _MOST}
    passed = {key: share for key, share in by_guard.items() if share > _MOST}
    stopped = {key: 1 - share for key, share in by_guard.items() if share <= _FEW}
    interval = between(in_facts["flagged_interval"])

    def shown(shares: Mapping[str, float]) -> str:
        told = (f"{labels[key]} ({percent(share)})" for key, share in shares.items())
        return ", ".join(told) or "none"

    return [
        f"A threshold on likelihood would let through most images of {len(let)} of "
        f"{len(out_facts)} sets: {shown(let)}.",
        f"The guard would let through most images of {len(passed)}: "
        f"{shown(passed)}; it stops nearly all (at least {percent(1 - _FEW)}) of "
        f"{len(stopped)}: {shown(stopped)}.",
        f"Of {in_facts['num_images']:,} own test images likelihood flags "
        f"{percent(1 - in_facts['passes_likelihood'], 1)} and the guard "
        f"{percent(1 - in_facts['passes_guard'], 1)} (95 % interval {interval}), where "
        f"{rate(false_alarm_rate)} were allowed.",
        *_reasons_sentence(out_facts, labels),
        *filter(None, [caution_of_few(one.about for one in judged)]),
        *file_cautions(one.about for one in judged),
    ]


def _reasons_sentence(
    out_facts: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]
) -> list[str]:
    """What gives most images of each set away; nothing where the guard stops few."""
    shown = [
        f"{labels[key]} ({entry['main_reason']['words']})"
        for key, entry in out_facts.items()
        if entry["passes_guard"] <= _MOST
    ]
    return [f"What the guard stops it stops most often for: {', '.join(shown)}."] if shown else []


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
    names: Sequence[str],
    false_alarm_rate: float,
) -> str:
    rows = []
    for one in judged:
        entry = facts[one.key]
        shares = (percent(entry[name], 1) for name in _SHARES)
        bits = f"{one.about.bits_per_dim_mean:.3f}"
        count = f"{entry['num_images']:,}"
        rows.append([one.label, *shares, _reason(entry["main_reason"]), bits, count])
    header = ["Set", "pass likelihood", "pass the guard", "main reason", "bits/dim", "n"]
    caption = f"Shares of images, both set to {rate(false_alarm_rate)} of false alarms"
    shares = html.table(caption, header, rows, "metrics")
    aurocs = auroc_table(judged[1:], names, "AUROC by detector, on all images of a set")
    return html.section("Figures", f"{shares}\n{aurocs}")


def _reason(found: Mapping[str, Any] | None) -> str:
    """A cell with the reason that most flagged images of a set have."""
    if found is None:
        return html.DASH
    return html.with_small(found["words"], f"{percent(found['share_of_flagged'])} of the flagged")


def _reasons_section(
    facts: Mapping[str, Mapping[str, Any]], judged: Sequence[JudgedSet], false_alarm_rate: float
) -> str:
    """The share of each set that each detector finds unusual by itself."""
    caption = (
        "Shares of images that are unusual by a detector alone, each at "
        f"{rate(false_alarm_rate)} of false alarms; small: in which way most are, where both count"
    )
    fired = {one.label: facts[one.key]["fired"] for one in judged}
    return html.section("What gives images away", unusual_table(fired, caption))


def _skipped_section(judged: Sequence[JudgedSet]) -> str:
    """Files that could not be read, and those that were not looked at; "" if there are none."""
    headings = {
        "Files that could not be read": left_out.unreadable(judged),
        "Files that were not looked at": left_out.not_looked_at(judged),
    }
    return "\n".join(html.section(heading, table) for heading, table in headings.items() if table)
