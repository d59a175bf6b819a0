"""Figures of several runs: histograms over one axis, ROC curves."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfp_ood.detectors import SCORES
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics.detection import roc
from tfp_ood.reporting import figures
from tfp_ood.reporting.runs import Run

Paths = Sequence[str | os.PathLike[str]]

_NUM_BINS = 100


def likelihoods(runs: Sequence[Run], paths: Paths) -> None:
    """Densities of bits/dim, a panel for each run, over one axis on which right is likelier.

    The axis reaches as far as the histograms of single runs would; a foreign set has the same
    colour and line in all panels.
    """
    ranges = [figures.axis_range([table.bits_per_dim for table in run.tables]) for run in runs]
    edges = np.linspace(min(r[0] for r in ranges), max(r[1] for r in ranges), _NUM_BINS + 1)
    sets = _foreign_sets(runs)
    heights = [2.0 + 0.2 * len(run.tables) for run in runs]
    figure = Figure(figsize=(7.5, sum(heights) + 0.4), layout="constrained")
    panels = figure.subplots(
        len(runs), 1, squeeze=False, gridspec_kw={"height_ratios": heights}, sharex=True
    )[:, 0]
    for axes, run in zip(panels, runs, strict=True):
        for table in run.tables:
            number = 0 if table is run.tables[0] else 1 + sets.index(run.entry(table)["label"])
            label = _label(run, table) + _outside(table.bits_per_dim, edges)
            figures.draw_density(axes, table.bits_per_dim, edges, number, label)
        axes.set_title(run.label, fontsize=11, loc="left")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(NullLocator())
        axes.spines[["right", "left", "top"]].set_visible(False)
        axes.legend(loc="best", frameon=False, fontsize=8)
    panels[-1].set_xlim(edges[-1], edges[0])
    panels[-1].set_xlabel("bits per dimension   (right is likelier; triangles: means)", fontsize=11)
    figures.save(figure, paths)


def _label(run: Run, table: ScoreTable) -> str:
    if table is run.tables[0]:
        return f"{run.entry(table)['label']} (own)"
    return f"{run.entry(table)['label']}, AUROC {run.metrics(table)['auroc']:.2f}"


def _outside(values: np.ndarray, edges: np.ndarray) -> str:
    """Words for the images that the axis leaves out; "" if there are next to none."""
    share = np.mean((values < edges[0]) | (values > edges[-1]))
    return f"; {share:.0%} off the axis" if share >= 0.01 else ""


def roc_curves(runs: Sequence[Run], paths: Paths) -> None:
    """ROC curves of likelihood: colours are runs, lines are foreign sets."""
    sets, score = _foreign_sets(runs), SCORES["log_prob"]
    num_curves = sum(len(run.tables) - 1 for run in runs)
    figure = Figure(figsize=(6.4, 5.6 + 0.22 * num_curves), layout="constrained")
    axes = figures.roc_axes(figure)
    for number, run in enumerate(runs):
        for table in run.tables[1:]:
            label = run.entry(table)["label"]
            flagged, caught = roc(score(run.tables[0]), score(table))
            axes.plot(
                flagged,
                caught,
                color=figures.COLORS[number % len(figures.COLORS)],
                linestyle=figures.LINES[sets.index(label) % len(figures.LINES)],
                linewidth=2,
                label=f"{run.label}: {label}",
            )
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    figures.save(figure, paths)


def _foreign_sets(runs: Sequence[Run]) -> list[str]:
    """Labels of all foreign sets, each once, in order of appearance."""
    return list(dict.fromkeys(run.entry(t)["label"] for run in runs for t in run.tables[1:]))
