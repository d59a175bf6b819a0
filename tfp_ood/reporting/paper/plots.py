"""The pictures of the page: likelihoods in the paper's layout, and others' figures beside ours."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.reporting import figures, names
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.paper.facts import RECALLED, Number
from tfp_ood.reporting.paper.match import data_set, pair_name
from tfp_ood.reporting.runs import Run

_PANELS = {
    "bits/dim (likelier is to the right)": ("bits_per_dim",),
    "AUROC and FPR95 of likelihood": ("auroc", "fpr95"),
}

_NUM_BINS = 60


def histograms(panels: Sequence[tuple[str, Sequence[JudgedSet]]]) -> Figure:
    """Densities of log p(x), a panel for each model, two beside each other: the paper's figure 2.

    Args:
      panels: title, and the sets, in-distribution first; at least one.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = figures.new(4.8 * columns, 3.4 * rows)
    axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, sets) in zip(axes_of, panels, strict=False):
        low, high = figures.axis_range([one.table.log_prob for one in sets])
        edges = np.linspace(low, high, _NUM_BINS + 1)
        shown = ((n, one.table.log_prob, _label(one)) for n, one in enumerate(sets))
        figures.draw_densities(axes, edges, shown)
        axes.set_xlim(low, high)
        axes.spines["top"].set_visible(False)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("log p(x)  [nats per image]", fontsize=10)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=6)  # of five digits no more fit
        axes.tick_params(labelsize=9)
        axes.legend(fontsize=9, frameon=False)
    for axes in axes_of[len(panels) :]:
        axes.set_axis_off()
    return figure


def _label(one: JudgedSet) -> str:
    """The set of the paper that a set stands for (`match.data_set`), or its own name."""
    known = data_set(one.table.dataset)
    return one.label if known == one.table.dataset else names.data_set(known)


def numbers(rows: Sequence[tuple[Number, Run, float]]) -> Figure:
    """A line for each figure: others' mark and those of our runs.

    Args:
      rows: figures and what a run measured of the same; at least one.
    """
    values = collections.defaultdict(list)
    for number, _, value in rows:
        values[number].append(value)
    panels = {
        title: [number for number in values if number.quantity in quantities]
        for title, quantities in _PANELS.items()
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    counts = [len(lines) for lines in panels.values()]
    height = 0.9 * len(panels) + 0.5 * sum(counts)
    figure, axes_of = figures.panels(7.5, height, len(panels), height_ratios=counts)
    for axes, (title, lines) in zip(axes_of, panels.items(), strict=True):
        for height, number in enumerate(lines):
            _draw_line(axes, height, number, values[number])
        axes.set_yticks(range(len(lines)), [_name(number) for number in lines], fontsize=9)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlabel(title, fontsize=11)
        axes.grid(axis="y", color="#dddddd")
        axes.spines[["right", "top", "left"]].set_visible(False)
        if "auroc" in {number.quantity for number in lines}:
            axes.axvline(0.5, color="#555555", linewidth=1)
            axes.set_xlim(-0.02, 1.02)
        else:
            axes.invert_xaxis()
    return figure


def _draw_line(axes: Any, height: int, number: Number, values: Sequence[float]) -> None:
    marker = "s" if number.status == RECALLED else "o"
    for value in values:
        axes.plot([number.theirs, value], [height, height], color="#999999", linewidth=1, zorder=1)
        axes.plot(value, height, marker="o", markersize=8, color=figures.COLORS[0], zorder=3)
    axes.plot(
        number.theirs,
        height,
        marker=marker,
        markersize=9,
        markerfacecolor="white",
        markeredgecolor=figures.COLORS[1],
        markeredgewidth=2,
        linestyle="",
        zorder=2,
    )


def _name(number: Number) -> str:
    quantity = {"bits_per_dim": "", "auroc": ", AUROC", "fpr95": ", FPR95"}[number.quantity]
    pair = pair_name(number.trained_on, number.judged_on)
    return f"{names.family(number.model)}{quantity}\n{pair}"
