"""How well each detector tells the sets from the in-distribution one: a table for each."""

from collections.abc import Sequence

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.summary import Metrics, SetSummary

# What matters most is to the left, where a phone shows it without scrolling.
_HEADER = ("Set", "AUROC", "FPR95", "bits/dim", "AUPRC out", "AUPRC in", "n")


def section(evidence: Evidence) -> Section:
    """The metrics, with intervals, beside bits/dim."""
    tables = [_table(evidence, name, one.title) for name, one in evidence.detectors.items()]
    return Section(html.section("Figures", "\n".join(tables)))


def _table(evidence: Evidence, detector: str, title: str) -> str:
    in_set = evidence.in_set.about
    rows = [_row(in_set, [html.DASH] * 4)]
    rows += [
        _row(one.about, _cells(one.about.scores[detector], one.about.num_images, in_set.num_images))
        for one in evidence.out_sets
    ]
    return html.table(f"{title} as a detector", _HEADER, rows, "metrics")


def _row(about: SetSummary, cells: Sequence[str]) -> list[str]:
    auroc, fpr95, auprc_out, auprc_in = cells
    bits = f"{about.bits_per_dim_mean:.3f}&nbsp;&plusmn;&nbsp;{about.bits_per_dim_std:.3f}"
    count = f"{about.num_images:,}"
    return [about.label, auroc, fpr95, html.Html(bits), auprc_out, auprc_in, count]


def _cells(metrics: Metrics, num_out: int, num_in: int) -> list[str]:
    chance = num_out / (num_out + num_in)
    return [
        html.with_interval(metrics, "auroc"),
        html.with_interval(metrics, "fpr95"),
        html.with_small(html.with_interval(metrics, "auprc_out"), f"chance {chance:.3f}"),
        html.with_small(html.with_interval(metrics, "auprc_in"), f"chance {1 - chance:.3f}"),
    ]
