"""Figures: the histogram of likelihoods, and grids of samples and reconstructions.

Drawn through matplotlib's objects, without pyplot: nothing global is touched, no display needed.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfp_ood import atomic, units
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable

OWN_COLOR = "#8c8c8c"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which people with any colour vision tell apart; dark ones first."""
LINES = ("-", "--", "-.", (0, (1, 1)))  # so that curves differ on gray paper too

_NUM_BINS = 60
_SHOWN = (0.5, 99.5)  # percentiles of a set that decide how wide the axis is
_REACH = 1.0  # how far from the model's own images others may stretch the axis, in own widths
_MARGIN = 0.04
_GRID_WIDTH = 640  # pixels


def likelihood_histogram(
    tables: Sequence[ScoreTable],
    summary: Mapping[str, Any],
    paths: Sequence[str | os.PathLike[str]],
) -> None:
    """The paper's figure: densities of log p(x) of all sets over one axis.

    The axis is in nats per image, so that more likely is to the right as in the paper; the upper
    axis tells the same in bits per dimension. Sets that lie far from the model's own images do
    not stretch it: what is left out is said in the legend, and counts in the density.

    Args:
      tables: in-distribution first, with images of equal size.
      summary: of these tables, for labels and AUROC.
      paths: files to make; the suffix (.png, .pdf) chooses the format.
    """
    low, high = axis_range([table.log_prob for table in tables])
    edges = np.linspace(low, high, _NUM_BINS + 1)
    # Room for the legend below, so that the axes keep their height with any number of sets.
    figure = Figure(figsize=(7.5, 3.4 + 0.25 * len(tables)), layout="constrained")
    axes = figure.add_subplot()
    for number, table in enumerate(tables):
        label = _legend_label(table, summary["datasets"][table.key], low, high)
        draw_density(axes, table.log_prob, edges, number, label)
    _finish_axes(axes, low, high, tables[0].num_dims)
    figure.legend(loc="outside lower center", frameon=False, fontsize=11)
    save(figure, paths)


def save(figure: Figure, paths: Sequence[str | os.PathLike[str]]) -> None:
    """Writes a figure to files, whose suffixes choose the format."""
    for path in paths:
        with atomic.replacing(path) as temporary:
            figure.savefig(temporary, dpi=160)


def roc_axes(figure: Figure) -> Axes:
    """The figure's axes for ROC curves, with the diagonal."""
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#555555", linewidth=1, label="a coin")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("share of own images that are flagged", fontsize=12)
    axes.set_ylabel("share of foreign images that are caught", fontsize=12)
    axes.spines[["right", "top"]].set_visible(False)
    return axes


def style(number: int) -> dict[str, Any]:
    """Colour and line of set number 0 (in-distribution), 1, 2, ... in every figure."""
    if number == 0:
        return {"color": OWN_COLOR, "linestyle": "-"}
    number -= 1
    return {"color": COLORS[number % len(COLORS)], "linestyle": LINES[number % len(LINES)]}


def axis_range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """A range with all of the first set but outliers, and what of the others is not far away.

    Args:
      values: of each set, in-distribution first.
    """
    own_low, own_high = np.percentile(values[0], _SHOWN)
    width = max(own_high - own_low, 1e-6 * max(1.0, abs(own_low)))  # a set may be one image
    limits = own_low - _REACH * width, own_high + _REACH * width
    ends = [(own_low, own_high)]
    for other in values[1:]:
        other_low, other_high = np.percentile(other, _SHOWN)
        if other_high > limits[0] and other_low < limits[1]:
            ends.append((max(other_low, limits[0]), min(other_high, limits[1])))
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    margin = _MARGIN * max(high - low, width)
    return float(low - margin), float(high + margin)


def _legend_label(table: ScoreTable, entry: Mapping[str, Any], low: float, high: float) -> str:
    if "scores" in entry:
        label = f"{entry['label']}, AUROC {entry['scores']['log_prob']['auroc']:.2f}"
    else:
        label = f"{entry['label']} (in-distribution)"
    return f"{label}, n = {table.num_images:,}{_outside(table.log_prob, low, high)}"


def _outside(values: np.ndarray, low: float, high: float) -> str:
    """Words for the images that the axis leaves out; "" if there are none."""
    num_left, num_right = int(np.sum(values < low)), int(np.sum(values > high))
    if not num_left + num_right:
        return ""
    if values.size in (num_left, num_right):
        side = "left" if num_left else "right"
        return f"; all off the axis to the {side}, mean {np.mean(values):,.0f} nats"
    return f"; {(num_left + num_right) / values.size:.2%} off the axis"


def draw_density(
    axes: Axes, values: np.ndarray, edges: np.ndarray, number: int, label: str
) -> None:
    """One set's histogram: filled for set number 0, outlined in colour for the others."""
    counts, _ = np.histogram(values, edges)
    # By all images, not only the shown ones: areas stay comparable when some are off the axis.
    density = counts / (values.size * np.diff(edges))
    look = style(number)
    if number == 0:
        axes.stairs(density, edges, fill=True, color=look["color"], alpha=0.55, label=label)
    else:
        axes.stairs(density, edges, **look, linewidth=2, label=label)
    mean = float(np.mean(values))
    if edges[0] <= mean <= edges[-1]:
        axes.plot(
            mean,
            0,
            marker="^",
            markersize=11,
            color=look["color"],
            markeredgecolor="black",
            clip_on=False,
            zorder=3,
        )


def _finish_axes(axes: Axes, low: float, high: float, num_dims: int) -> None:
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("log p(x)  [nats per image]   (triangles: means)", fontsize=12)
    axes.set_ylabel("density", fontsize=12)
    axes.yaxis.set_major_locator(NullLocator())  # areas are 1; the heights say nothing more
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize=11)
    axes.spines[["right", "left"]].set_visible(False)
    upper = axes.secondary_xaxis(
        "top",
        functions=(
            lambda nats: units.bits_per_dim(nats, num_dims),
            lambda bits: units.log_prob_from_bits(bits, num_dims),
        ),
    )
    upper.set_xlabel("bits per dimension", fontsize=12)
    upper.tick_params(labelsize=11)


def sample_grid(
    images: np.ndarray, path: str | os.PathLike[str], columns: int | None = None
) -> None:
    """A grid of images as a PNG, each pixel a block of whole screen pixels.

    Args:
      images: uint8 [N, H, W, C], C 1 or 3, N > 0.
      path: file to make.
      columns: images per row; by default the grid is square-ish.

    Raises:
      EvaluationError: the array is something else.
    """
    images = np.asarray(images)
    is_images = images.dtype == np.uint8 and images.ndim == 4 and images.size
    if not is_images or images.shape[-1] not in (1, 3):
        raise EvaluationError(
            f"Samples must be uint8 [N, H, W, 1 or 3], N > 0; "
            f"got {images.dtype} {list(images.shape)}."
        )
    num, height, width, _ = images.shape
    columns = columns or int(np.ceil(np.sqrt(num)))
    rows = -(-num // columns)
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = k // columns * (height + 1), k % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    scale = max(1, _GRID_WIDTH // grid.shape[1])
    with atomic.replacing(path) as temporary:
        matplotlib.image.imsave(temporary, grid.repeat(scale, 0).repeat(scale, 1))


def reconstruction_grid(pairs: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Two rows of images for every set as a PNG: originals, and below them what a model makes.

    Args:
      pairs: uint8 [sets, 2, N, H, W, C].
      path: file to make.

    Raises:
      EvaluationError: the array is something else.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 6 or pairs.shape[1] != 2:
        raise EvaluationError(
            f"Reconstructions must be uint8 [sets, 2, N, H, W, C]; got {list(pairs.shape)}."
        )
    sample_grid(pairs.reshape(-1, *pairs.shape[3:]), path, columns=pairs.shape[2])
