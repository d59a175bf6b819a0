"""Figures of several runs: histograms over one axis, ROC curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfp_ood.detectors import Detector
from tfp_ood.metrics.detection import roc
from tfp_ood.reporting import figures
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.runs import Run

_NUM_BINS = 100


def likelihoods(runs: Sequence[Run]) -> Figure:
    """Densities of bits/dim, a panel for each run, over one axis on which right is likelier.

    The axis reaches as far as the histograms of single runs would; a set has the same colour and
    line in all panels.
    """
    ranges = [figures.axis_range([one.table.bits_per_dim for one in run.sets]) for run in runs]
    edges = np.linspace(min(r[0] for r in ranges), max(r[1] for r in ranges), _NUM_BINS + 1)
    labels = _out_labels(runs)
    heights = [2.0 + 0.2 * len(run.sets) for run in runs]
    figure = figures.new(7.5, sum(heights) + 0.4)
    panels = figure.subplots(
        len(runs), 1, squeeze=False, gridspec_kw={"height_ratios": heights}, sharex=True
    )[:, 0]
    for axes, run in zip(panels, runs, strict=True):
        for one in run.sets:
            number = 0 if one is run.in_set else 1 + labels.index(one.label)
            label = _label(run, one) + _outside(one.table.bits_per_dim, edges)
            figures.draw_density(axes, one.table.bits_per_dim, edges, number, label)
        axes.set_title(run.label, fontsize=11, loc="left")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(NullLocator())
        axes.spines[["right", "left", "top"]].set_visible(False)
        axes.legend(loc="best", frameon=False, fontsize=8)
    panels[-1].set_xlim(edges[-1], edges[0])
    panels[-1].set_xlabel("bits per dimension   (right is likelier; triangles: means)", fontsize=11)
    return figure


def _label(run: Run, one: JudgedSet) -> str:
    if one is run.in_set:
        return f"{one.label} (own)"
    return f"{one.label}, AUROC {one.about.likelihood['auroc']:.2f}"


def _outside(values: np.ndarray, edges: np.ndarray) -> str:
    """Words for the images that the axis leaves out; "" if there are next to none."""
    share = np.mean((values < edges[0]) | (values > edges[-1]))
    return f"; {share:.0%} off the axis" if share >= 0.01 else ""


def roc_curves(runs: Sequence[tuple[Run, Detector]]) -> Figure:
    """ROC curves of one detector: colours are runs, lines are out-of-distribution sets.

    Args:
      runs: each with the detector, fitted on its own held-out images.
    """
    labels = _out_labels([run for run, _ in runs])
    num_curves = sum(len(run.out_sets) for run, _ in runs)
    figure = figures.new(6.4, 5.6 + 0.22 * num_curves)
    axes = figures.roc_axes(figure)
    for number, (run, detector) in enumerate(runs):
        in_scores = detector.score([run.in_set.table])
        for one in run.out_sets:
            flagged, caught = roc(in_scores, detector.score([one.table]))
            axes.plot(
                flagged,
                caught,
                color=figures.COLORS[number % len(figures.COLORS)],
                linestyle=figures.LINES[labels.index(one.label) % len(figures.LINES)],
                linewidth=2,
                label=f"{run.label}: {one.label}",
            )
    figures.add_legend(figure, fontsize=9)
    return figure


def _out_labels(runs: Sequence[Run]) -> list[str]:
    """Labels of all out-of-distribution sets, each once, in order of appearance."""
    return list(dict.fromkeys(one.label for run in runs for one in run.out_sets))
