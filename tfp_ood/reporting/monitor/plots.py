"""The pictures of a monitor's page."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.reporting import figures, reasons
from tfp_ood.reporting.monitor.words import Found

_NUM_BINS, _NUM_COLUMNS, _NUM_REASONS, _LETTERS = 20, 8, 2, 19
_NUM_SCORE_BINS, _OF_NAME = 60, 17


def histograms(found: Found) -> Figure:
    """The p-values of the new images, and the scores of both sets."""
    figure, (top, bottom) = figures.panels(7.5, 5.5, 2)
    values = found.drift.image_p_values
    heights, edges = np.histogram(values, _NUM_BINS, (0, 1))
    look = figures.style(1)
    top.stairs(heights / len(values) * _NUM_BINS, edges, fill=True, color=look["color"], alpha=0.7)
    top.axhline(1.0, color="#333333", linewidth=1, linestyle="--")
    box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
    top.text(0.99, 1.04, "own images", ha="right", va="bottom", fontsize=10, bbox=box)
    top.set(xlim=(0, 1), xlabel="p-value among own test images", ylabel="times as many")
    low, high = figures.axis_range([found.own.score, found.new.score])
    threshold = found.calibration.threshold
    high = max(high, threshold + 0.1 * (high - low))
    sets = [(0, found.own.score, f"{found.own_label}, test"), (1, found.new.score, found.new_label)]
    figures.draw_densities(bottom, np.linspace(low, high, _NUM_SCORE_BINS), sets)
    bottom.axvline(threshold, color="#333333", linewidth=1, linestyle="--")
    bottom.text(threshold, bottom.get_ylim()[1], " flagged", va="top", fontsize=10)
    bottom.set(xlim=(low, high), xlabel="score of all detectors combined")
    figures.finish(figure)
    return figure


def suspicious(
    found: Found, places: Sequence[int], names: Sequence[str], images: np.ndarray
) -> Figure:
    """The most suspicious images, with their names, p-values and reasons.

    Args:
      found: what was found.
      places: of the N images among the new ones.
      names: N.
      images: uint8 [N, H, W, C].
    """
    rows = -(-len(images) // _NUM_COLUMNS)
    figure = figures.new(7.5, 1.85 * rows)
    grid = figure.subplots(rows, _NUM_COLUMNS, squeeze=False).ravel()
    is_named = set(found.drift.named.tolist())
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, place, name, image in zip(grid, places, names, images, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        color = figures.COLORS[1] if place in is_named else figures.OWN_COLOR
        axes.spines[:].set(visible=True, color=color, linewidth=3 if place in is_named else 1)
        why = reasons.wrapped(reasons.of_image(found.new, place), _NUM_REASONS)
        lines = [_end(name), f"p = {found.drift.image_p_values[place]:.2g}"]
        lines += [line for words in why for line in textwrap.wrap(f"- {words}", _LETTERS)]
        axes.set_xlabel("\n".join(lines), fontsize=6, labelpad=3)
    return figure


def _end(name: str) -> str:
    """The end of a name, as much as there is room for."""
    return name if len(name) <= _OF_NAME else f"\u2026{name[1 - _OF_NAME :]}"
