"""Likelihood of constant images, by their gray level."""

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The curve; None where the set `constant` was not judged."""
    own = evidence.in_set
    for one in evidence.out_sets:
        if (found := gray_levels(one.table, own.table)) is not None:
            caption = (
                f"{found['share_above_own']:.0%} of the gray levels are likelier than the median "
                f"image of {own.label}; the likeliest is {found['likeliest']}, the "
                f"unlikeliest {found['unlikeliest']} (of 0 to 255)."
            )
            figure = evidence.draw(
                "gray_levels", draw(one.table, own), f"A curve. {caption}", caption
            )
            return Section(html.section("Constant images", figure), found)
    return None


def gray_levels(table: ScoreTable, own: ScoreTable) -> dict[str, float] | None:
    """How likely constant images are.

    Args:
      table: of the set `constant`, whose image i has the value i everywhere; others give None.
      own: the in-distribution table.

    Returns:
      `likeliest` and `unlikeliest` gray level, and `share_above_own`, the share of levels that are
      likelier than the median image of `own`.
    """
    if table.dataset != "constant":
        return None
    return {
        "likeliest": int(table.index[np.argmax(table.log_prob)]),
        "unlikeliest": int(table.index[np.argmin(table.log_prob)]),
        "share_above_own": float(np.mean(table.log_prob > np.median(own.log_prob))),
    }


def draw(table: ScoreTable, own: JudgedSet) -> Figure:
    """Draws the likelihood of constant images over the range of in-distribution ones."""
    figure = figures.new(7, 4)
    axes = figure.add_subplot()
    low, high = np.percentile(own.table.log_prob, (5, 95))
    label = f"{own.label}, 90 % of images"
    axes.axhspan(low, high, color=figures.OWN_COLOR, alpha=0.4, label=label)
    axes.plot(table.index, table.log_prob, **figures.style(1), linewidth=2, label="constant images")
    axes.set_xlim(0, 255)
    axes.set_xlabel("gray level", fontsize=12)
    axes.set_ylabel("log p(x)  [nats per image]", fontsize=12)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    figures.finish(figure, axes)
    return figure
