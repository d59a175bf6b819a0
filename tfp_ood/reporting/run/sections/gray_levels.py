"""Likelihood of constant images, by their gray level."""

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The curve; None where the set `constant` was not judged."""
    in_set = evidence.in_set
    for one in evidence.out_sets:
        if (found := gray_levels(one.table, in_set.table)) is not None:
            caption = (
                f"{found['share_above_own']:.0%} of the gray levels are likelier than the median "
                f"image of {in_set.label}; the likeliest is {found['likeliest']}, the "
                f"unlikeliest {found['unlikeliest']} (of 0 to 255)."
            )
            drawing = draw(one.table, in_set)
            figure = evidence.draw("gray_levels", drawing, f"A curve. {caption}", caption)
            return Section(html.section("Constant images", figure), found)
    return None


def gray_levels(table: ScoreTable, in_table: ScoreTable) -> dict[str, float] | None:
    """How likely constant images are.

    Args:
      table: of the set `constant`, or of some of its images; others give None.
      in_table: the in-distribution table.

    Returns:
      `likeliest` and `unlikeliest` gray level, and `share_above_own`, the share of levels that are
      likelier than the median image of `in_table`.
    """
    if table.dataset != "constant":
        return None
    return {
        "likeliest": int(_levels(table)[np.argmax(table.log_prob)]),
        "unlikeliest": int(_levels(table)[np.argmin(table.log_prob)]),
        "share_above_own": float(np.mean(table.log_prob > np.median(in_table.log_prob))),
    }


def _levels(table: ScoreTable) -> np.ndarray:
    """The value that each image has everywhere, int64 [N], ascending."""
    return np.rint(table.statistics["pixel_mean"]).astype(np.int64)


def draw(table: ScoreTable, in_set: JudgedSet) -> Figure:
    """Draws the likelihood of constant images over the range of in-distribution ones."""
    figure, (axes,) = figures.panels(7, 4)
    low, high = np.percentile(in_set.table.log_prob, (5, 95))
    label = f"{in_set.label}, 90 % of images"
    axes.axhspan(low, high, color=figures.OWN_COLOR, alpha=0.4, label=label)
    levels = _levels(table)
    axes.plot(levels, table.log_prob, **figures.style(1), linewidth=2, label="constant images")
    axes.set(xlim=(0, 255), xlabel="gray level", ylabel="log p(x)  [nats per image]")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    figures.finish(figure)
    return figure
