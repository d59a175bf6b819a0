"""Figures that explain: ROC curves, extreme images, the two terms, sweeps, complexity.

Each takes the sets' tables with the in-distribution one first, and files to make, whose suffixes
(.png, .pdf) choose the format. Colours and lines of a set are those of the histogram.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfp_ood.detectors import SCORES
from tfp_ood.evaluation.images import Kept
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics.detection import roc
from tfp_ood.reporting import figures
from tfp_ood.reporting.run.analysis import has_constant_volume

Paths = Sequence[str | os.PathLike[str]]

_NUM_SHOWN = 10  # extreme images of each end
_NUM_DOTS = 1000  # of each set in a scatter
_NUM_BINS = 60
_FRAME = (150, 180, 210)
_MARKERS = ("o", "^", "s", "D", "v", "P")


def roc_curves(tables: Sequence[ScoreTable], labels: Sequence[str], paths: Paths) -> None:
    """How many foreign images are caught, against how many own ones are flagged with them.

    Args:
      tables: in-distribution first.
      labels: of the foreign sets, for the legend.
      paths: files to make.
    """
    figure = Figure(figsize=(6, 5.4 + 0.25 * len(labels)), layout="constrained")
    axes, score = figures.roc_axes(figure), SCORES["log_prob"]
    for number, (table, label) in enumerate(zip(tables[1:], labels, strict=True), 1):
        flagged, caught = roc(score(tables[0]), score(table))
        axes.plot(flagged, caught, **figures.style(number), linewidth=2, label=label)
    _finish(figure, axes)
    figures.save(figure, paths)


def extreme_images(
    tables: Sequence[ScoreTable], kept: Sequence[Kept], labels: Sequence[str], paths: Paths
) -> None:
    """The likeliest and the unlikeliest images of every set, the most extreme to the left."""
    figure = Figure(figsize=(7.5, 1.6 * len(tables)), layout="constrained")
    grid = figure.subplots(2 * len(tables), 1, squeeze=False)[:, 0]
    for number, (table, extremes, label) in enumerate(zip(tables, kept, labels, strict=True)):
        for end, word in enumerate(("likeliest", "unlikeliest")):
            axes = grid[2 * number + end]
            bits = table.bits_per_dim[extremes.extreme_index[end][:_NUM_SHOWN]]
            axes.imshow(_strip(extremes.extremes[end]), interpolation="nearest")
            axes.set_title(
                f"{label}, {word}: {bits[0]:.2f} to {bits[-1]:.2f} bits/dim",
                fontsize=9,
                loc="left",
                pad=3,
            )
            axes.set_axis_off()
    figures.save(figure, paths)


def _strip(images: np.ndarray) -> np.ndarray:
    """Up to `_NUM_SHOWN` images [K, H, W, C] beside each other, framed: uint8 [H + 2, w, 3]."""
    images = images[:_NUM_SHOWN]
    _, height, width, _ = images.shape
    strip = np.full((height + 2, _NUM_SHOWN * (width + 1) + 1, 3), 255, np.uint8)
    # The frame is of a colour, so that white images and black ones have ends.
    strip[:, : len(images) * (width + 1) + 1] = _FRAME
    for number, image in enumerate(images):
        strip[1:-1, number * (width + 1) + 1 :][:, :width] = image
    return strip


def decomposition(tables: Sequence[ScoreTable], labels: Sequence[str], paths: Paths) -> None:
    """Densities of the latent and the volume term; of the latent alone if the volume is constant.

    Args:
      tables: of a flow, in-distribution first.
      labels: of all sets.
      paths: files to make.
    """
    terms = {"log_prob_latent": "latent density  log p(z)  [nats per image]"}
    if not has_constant_volume(tables):
        terms["log_det"] = "volume term  log|det dz/dx|  [nats per image]"
    height = 2.6 * len(terms) + 0.25 * len(tables) + 0.3
    figure = Figure(figsize=(7.5, height), layout="constrained")
    panels = figure.subplots(len(terms), 1, squeeze=False)[:, 0]
    for axes, (term, name) in zip(panels, terms.items(), strict=True):
        values = [table.statistics[term] for table in tables]
        edges = np.linspace(*figures.axis_range(values), _NUM_BINS + 1)
        for number, (given, label) in enumerate(zip(values, labels, strict=True)):
            figures.draw_density(axes, given, edges, number, label)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        axes.set_xlabel(name, fontsize=12)
        axes.yaxis.set_major_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["right", "left", "top"]].set_visible(False)
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", frameon=False, fontsize=11)
    figures.save(figure, paths)


def contrast(sweeps: Mapping[str, Mapping[str, Any]], paths: Paths) -> None:
    """Likelihood of the own test images against the contrast that is left (`analysis.sweeps`)."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    words = {"contrast": "towards the image's mean", "dimmed": "towards black"}
    for number, (kind, sweep) in enumerate(sweeps.items(), 1):
        look = figures.style(number)
        marker = _MARKERS[(number - 1) % len(_MARKERS)]
        axes.fill_between(
            sweep["factors"], sweep["low"], sweep["high"], color=look["color"], alpha=0.15
        )
        axes.plot(sweep["factors"], sweep["mean"], **look, marker=marker, label=words[kind])
    axes.set_xlim(1.02, -0.02)
    axes.set_xlabel("share of contrast that is left", fontsize=12)
    axes.set_ylabel("log p(x)  [nats per image]", fontsize=12)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _finish(figure, axes)
    figures.save(figure, paths)


def gray_levels(table: ScoreTable, own: ScoreTable, own_label: str, paths: Paths) -> None:
    """Likelihood of constant images against their gray level, over the range of own images."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    low, high = np.percentile(own.log_prob, (5, 95))
    axes.axhspan(
        low, high, color=figures.OWN_COLOR, alpha=0.4, label=f"{own_label}, 90 % of images"
    )
    axes.plot(table.index, table.log_prob, **figures.style(1), linewidth=2, label="constant images")
    axes.set_xlim(0, 255)
    axes.set_xlabel("gray level", fontsize=12)
    axes.set_ylabel("log p(x)  [nats per image]", fontsize=12)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _finish(figure, axes)
    figures.save(figure, paths)


def complexity(tables: Sequence[ScoreTable], labels: Sequence[str], paths: Paths) -> None:
    """Likelihood against the size as a PNG file, at most `_NUM_DOTS` images of each set."""
    figure = Figure(figsize=(7, 4.6 + 0.25 * len(tables)), layout="constrained")
    axes = figure.add_subplot()
    for number, (table, label) in enumerate(zip(tables, labels, strict=True)):
        step = -(-table.num_images // _NUM_DOTS)
        axes.scatter(
            8.0 * table.statistics["png_bytes"][::step] / table.num_dims,
            table.bits_per_dim[::step],
            s=14,
            marker=_MARKERS[number % len(_MARKERS)],
            facecolor="none",
            edgecolor=figures.style(number)["color"],
            linewidth=0.7,
            alpha=0.6,
            label=label,
            rasterized=True,
        )
    axes.invert_yaxis()  # likelier is up, as in the other figures
    axes.set_xlabel("size as a PNG file  [bits/dim]", fontsize=12)
    axes.set_ylabel("-log p(x)  [bits/dim], likelier is up", fontsize=12)
    _finish(figure, axes)
    figures.save(figure, paths)


def _finish(figure: Figure, axes: Axes) -> None:
    axes.tick_params(labelsize=11)
    axes.spines[["right", "top"]].set_visible(False)
    figure.legend(loc="outside lower center", frameon=False, fontsize=11)
