"""How well the detectors tell the sets from the in-distribution one, and what the guard flags."""

import collections
from collections.abc import Mapping, Sequence

from tfp_ood import detectors
from tfp_ood.errors import ExportError
from tfp_ood.metrics.detection import share_interval
from tfp_ood.reporting import html
from tfp_ood.reporting.by_detector import auroc_table
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.shares import rate
from tfp_ood.reporting.summary import SHOWN_METRICS, Metrics, SetSummary

# What matters most is to the left, where a phone shows it without scrolling.
_HEADER = ("Set", "AUROC", "FPR95, foreign positive", "FPR95, own positive", "AUPRC out",
           "AUPRC in")  # fmt: skip
_SHOWN = (detectors.LIKELIHOOD, detectors.COMBINED)
_FAMILY = "Not for this family of models"
_HELD_OUT = "Without images held out of the training (config.data.num_validation)"


def section(evidence: Evidence) -> Section:
    """All detectors, the guard's shares, and the metrics of likelihood and of all combined."""
    judged = list(evidence.panel.detectors)
    named = f"AUROC by detector: which tell a set from {evidence.in_set.label}?"
    shown = [name for name in judged if name in _SHOWN]
    others = "\n".join(_metrics_table(evidence, name) for name in judged if name not in _SHOWN)
    parts = [
        auroc_table(evidence.out_sets, judged, named),
        html.bullets(left_out(evidence.panel.left_out)),
        _flagged_table(evidence),
        *(_metrics_table(evidence, name) for name in shown),
        html.folded("The same figures of each other detector", others) if others else "",
    ]
    return Section(html.section("Figures", "\n".join(parts)))


def left_out(missing: Mapping[str, Sequence[str]]) -> list[str]:
    """Which detectors could not judge, and what they lack, in sentences.

    Args:
      missing: `Panel.left_out`.
    """
    by_reason = collections.defaultdict(list)
    for name, columns in missing.items():
        detector = detectors.DETECTORS[name]
        if not columns:
            reason = _HELD_OUT
        else:
            reason = f"Needed: {detector.how_to_get}" if detector.how_to_get else _FAMILY
        by_reason[reason].append(detector.title)
    return [f"Left out: {', '.join(titles)}. {reason}." for reason, titles in by_reason.items()]


def _flagged_table(evidence: Evidence) -> str:
    """The shares of every set that the guard flags, and that likelihood would."""
    if isinstance(evidence.panel.found, ExportError):
        return f"<p>There is no guard here. {html.escape(evidence.panel.found)}</p>"
    rows = []
    for one in evidence.sets:
        about = one.about
        by_likelihood = round(about.flagged_by_likelihood * about.num_images)
        interval = share_interval(by_likelihood, about.num_images)
        bits = f"{about.bits_per_dim_mean:.3f}&nbsp;&plusmn;&nbsp;{about.bits_per_dim_std:.3f}"
        rows.append(
            [
                f"{about.label} (own)" if one is evidence.in_set else about.label,
                html.share(about.flagged, about.flagged_interval),
                html.share(about.flagged_by_likelihood, interval),
                html.Html(bits),
                f"{about.num_images:,}",
            ]
        )
    header = ["Set", "flagged by the guard", "by low likelihood alone", "bits/dim", "n"]
    both = rate(evidence.summary.false_alarm_rate)
    caption = f"Share of images that is flagged, with both set to {both} of false alarms"
    return html.table(caption, header, rows, "metrics")


def _metrics_table(evidence: Evidence, name: str) -> str:
    num_in = evidence.in_set.about.num_images
    rows = [_row(one.about, one.about.scores[name], num_in) for one in evidence.out_sets]
    title = evidence.panel.detectors[name].title
    return html.table(f"{title} as a detector", _HEADER, rows, "metrics")


def _row(about: SetSummary, metrics: Metrics, num_in: int) -> list[str]:
    chance = about.num_images / (about.num_images + num_in)
    cells = {name: html.with_interval(metrics, name) for name in SHOWN_METRICS}
    for name, share in (("auprc_out", chance), ("auprc_in", 1 - chance)):
        cells[name] = html.with_small(cells[name], f"chance {share:.3f}")
    return [about.label, *cells.values()]
