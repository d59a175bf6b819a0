"""Figures of several runs: histograms over one axis, ROC curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.detectors import Detector
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
    options = {"height_ratios": heights, "sharex": True}
    figure, panels = figures.panels(7.5, sum(heights) + 0.4, len(runs), **options)
    for axes, run in zip(panels, runs, strict=True):
        numbers = (0, *(1 + labels.index(one.label) for one in run.out_sets))
        values = [one.table.bits_per_dim for one in run.sets]
        words = [_label(run, one, edges) for one in run.sets]
        figures.draw_densities(axes, edges, zip(numbers, values, words, strict=True))
        axes.set_title(run.label, fontsize=11, loc="left")
        axes.spines.top.set_visible(False)
        axes.legend(loc="best", frameon=False, fontsize=8)
    panels[-1].set_xlim(edges[-1], edges[0])
    panels[-1].set_xlabel("bits per dimension   (right is likelier; triangles: means)", fontsize=11)
    return figure


def _label(run: Run, one: JudgedSet, edges: np.ndarray) -> str:
    """What the legend says of a set, the share that the axis leaves out with it."""
    is_in_set, values = one is run.in_set, one.table.bits_per_dim
    share = np.mean((values < edges[0]) | (values > edges[-1]))
    figure = " (own)" if is_in_set else f", AUROC {one.about.likelihood['auroc']:.2f}"
    return one.label + figure + (f"; {share:.0%} off the axis" if share >= 0.01 else "")


def roc_curves(runs: Sequence[tuple[Run, Detector]]) -> Figure:
    """ROC curves of one detector: colours are runs, lines are out-of-distribution sets.

    Args:
      runs: each with the detector, fitted on its own held-out images.
    """
    labels = _out_labels([run for run, _ in runs])
    curves = []
    for number, (run, detector) in enumerate(runs):
        in_scores = detector.score([run.in_set.table])
        for one in run.out_sets:
            look = {
                "color": figures.COLORS[number % len(figures.COLORS)],
                "linestyle": figures.LINES[labels.index(one.label) % len(figures.LINES)],
                "label": f"{run.label}: {one.label}",
            }
            curves.append((in_scores, detector.score([one.table]), look))
    figure = figures.new(6.4, 5.6 + 0.22 * len(curves))
    figures.roc_curves(figure, curves)
    figures.add_legend(figure, fontsize=9)
    return figure


def _out_labels(runs: Sequence[Run]) -> list[str]:
    """Labels of all out-of-distribution sets, each once, in order of appearance."""
    return list(dict.fromkeys(one.label for run in runs for one in run.out_sets))
