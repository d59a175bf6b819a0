"""How well each detector tells the sets from the in-distribution one: a table for each."""

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.summary import SHOWN_METRICS, Metrics, SetSummary

# What matters most is to the left, where a phone shows it without scrolling.
_HEADER = ("Set", "AUROC", "FPR95", "bits/dim", "AUPRC out", "AUPRC in", "n")


def section(evidence: Evidence) -> Section:
    """The metrics, with intervals, beside bits/dim."""
    tables = [_table(evidence, name, one.title) for name, one in evidence.panel.detectors.items()]
    return Section(html.section("Figures", "\n".join(tables)))


def _table(evidence: Evidence, detector: str, title: str) -> str:
    num_in = evidence.in_set.about.num_images
    rows = [_row(one.about, one.about.scores.get(detector), num_in) for one in evidence.sets]
    return html.table(f"{title} as a detector", _HEADER, rows, "metrics")


def _row(about: SetSummary, metrics: Metrics | None, num_in: int) -> list[str]:
    """The cells of a set; the in-distribution one has no metrics."""
    cells = dict.fromkeys(SHOWN_METRICS, html.DASH)
    if metrics is not None:
        chance = about.num_images / (about.num_images + num_in)
        cells = {name: html.with_interval(metrics, name) for name in cells}
        for name, share in (("auprc_out", chance), ("auprc_in", 1 - chance)):
            cells[name] = html.with_small(cells[name], f"chance {share:.3f}")
    auroc, fpr95, *auprc = cells.values()
    bits = f"{about.bits_per_dim_mean:.3f}&nbsp;&plusmn;&nbsp;{about.bits_per_dim_std:.3f}"
    return [about.label, auroc, fpr95, html.Html(bits), *auprc, f"{about.num_images:,}"]
