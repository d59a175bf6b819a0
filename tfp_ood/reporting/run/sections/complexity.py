"""Likelihood against complexity: the length of an image under a lossless code."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section

_NUM_DOTS = 1000  # of each set


def section(evidence: Evidence) -> Section:
    """A scatter of all sets, and correlations by set."""
    found = {one.key: complexity(one.table) for one in evidence.sets}
    drawing = draw(evidence.shown)
    rows = []
    for one in evidence.sets:
        numbers = found[one.key]
        correlations = (_correlation(numbers[name]) for name in ("spearman", "pearson"))
        rows.append([one.label, *correlations, f"{numbers['code_bits_per_dim']:.2f}"])
    header = ["Set", "rank correlation", "correlation", "code, bits/dim"]
    caption = "Each mark is an image. What compresses well is likely, whatever it shows."
    body = evidence.draw(
        "complexity", drawing, "Likelihood against length under a lossless code, by set", caption
    )
    body += html.table("log p(x) and the length under a lossless code", header, rows, "metrics")
    return Section(html.section("Likelihood against complexity", body), found)


def complexity(table: ScoreTable) -> dict[str, float | None]:
    """How log p(x) goes with the length of x under a lossless code, over the images of a set.

    Returns:
      mean `code_bits_per_dim`, and the correlations `pearson` and `spearman` of log_prob and
      code_bits: None where one of them is the same for all images.
    """
    length = table.statistics["code_bits"]
    varies = np.ptp(length) > 0 and np.ptp(table.log_prob) > 0
    return {
        "code_bits_per_dim": float(np.mean(length) / table.num_dims),
        "pearson": float(stats.pearsonr(length, table.log_prob)[0]) if varies else None,
        "spearman": float(stats.spearmanr(length, table.log_prob)[0]) if varies else None,
    }


def _correlation(value: float | None) -> str:
    return html.DASH if value is None else f"{value:+.2f}"


def draw(sets: Sequence[JudgedSet]) -> Figure:
    """Draws at most `_NUM_DOTS` images of each set."""
    figure, (axes,) = figures.panels(7, 4.6 + 0.25 * len(sets))
    for number, one in enumerate(sets):
        step = -(-one.table.num_images // _NUM_DOTS)
        axes.scatter(
            one.table.statistics["code_bits"][::step] / one.table.num_dims,
            one.table.bits_per_dim[::step],
            s=14,
            marker=figures.MARKERS[number % len(figures.MARKERS)],
            facecolor="none",
            edgecolor=figures.style(number)["color"],
            linewidth=0.7,
            alpha=0.6,
            label=one.label,
            rasterized=True,
        )
    axes.invert_yaxis()  # likelier is up, as in the other figures
    axes.set_xlabel("length under a lossless code  [bits/dim]")
    axes.set_ylabel("-log p(x)  [bits/dim], likelier is up")
    figures.finish(figure)
    return figure
