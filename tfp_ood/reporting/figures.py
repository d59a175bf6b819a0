"""What figures are drawn with: colours and lines of sets, densities, ROC axes, grids of images.

Drawn through matplotlib's objects, without pyplot: nothing global is touched, no display needed.
"""

import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.metrics.detection import roc

OWN_COLOR = "#8c8c8c"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which people with any colour vision tell apart; dark ones first."""
MARKERS = ("o", "^", "s", "D", "v", "P")
LINES = ("-", "--", "-.", (0, (1, 1)))  # so that curves differ on gray paper too

_SHOWN = (0.5, 99.5)  # percentiles of a set that decide how wide the axis is
_REACH = 1.0  # how far from the model's own images others may stretch the axis, in own widths
_MARGIN = 0.04
_MEAN = {"marker": "^", "markersize": 11, "markeredgecolor": "black", "clip_on": False, "zorder": 3}
_GRID_WIDTH = 640  # pixels


def new(width: float, height: float) -> Figure:
    """An empty figure, in inches, that lays out its own parts."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(
    width: float, height: float, number: int = 1, **options: Any
) -> tuple[Figure, Sequence[Axes]]:
    """Such a figure with axes below each other; `options` are those of `Figure.subplots`."""
    figure = new(width, height)
    return figure, figure.subplots(number, 1, squeeze=False, **options)[:, 0]


def roc_curves(
    figure: Figure, curves: Iterable[tuple[np.ndarray, np.ndarray, Mapping[str, Any]]]
) -> None:
    """Draws the diagonal and ROC curves into an empty figure.

    Args:
      figure: changed.
      curves: scores of in-distribution images, of other images, and how their curve looks.
    """
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#555555", linewidth=1, label="a coin")
    for in_scores, out_scores, look in curves:
        axes.plot(*roc(in_scores, out_scores), **look, linewidth=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("share of own images that are flagged", fontsize=12)
    axes.set_ylabel("share of foreign images that are caught", fontsize=12)
    axes.spines[["right", "top"]].set_visible(False)


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
    in_low, in_high = np.percentile(values[0], _SHOWN)
    width = max(in_high - in_low, 1e-6 * max(1.0, abs(in_low)))  # a set may be one image
    limits = in_low - _REACH * width, in_high + _REACH * width
    ends = [(in_low, in_high)]
    for other in values[1:]:
        other_low, other_high = np.percentile(other, _SHOWN)
        if other_high > limits[0] and other_low < limits[1]:
            ends.append((max(other_low, limits[0]), min(other_high, limits[1])))
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    margin = _MARGIN * max(high - low, width)
    return float(low - margin), float(high + margin)


def draw_densities(
    axes: Axes, edges: np.ndarray, sets: Iterable[tuple[int, np.ndarray, str]]
) -> None:
    """The histograms of sets, given as number, values and label: filled for set number 0, outlined
    in colour for the others, each with a triangle at its mean."""
    for number, values, label in sets:
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
            axes.plot(mean, 0, color=look["color"], **_MEAN)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(NullLocator())  # areas are 1; the heights say nothing more
    axes.spines[["right", "left"]].set_visible(False)


def draw_band(axes: Axes, x: Any, middle: Any, low: Any, high: Any, **look: Any) -> None:
    """A curve in its look, and around it a band of its colour."""
    axes.fill_between(x, low, high, color=look["color"], alpha=0.15)
    axes.plot(x, middle, **look)


def finish(figure: Figure) -> None:
    """Sizes letters, takes needless lines off the axes, and puts the legend below them."""
    for axes in figure.axes:
        axes.tick_params(labelsize=11)
        axes.xaxis.label.set_fontsize(12)
        axes.yaxis.label.set_fontsize(12)
        axes.spines[["right", "top"]].set_visible(False)
    add_legend(figure)


def add_legend(figure: Figure, *handles_and_labels: Sequence[Any], fontsize: int = 11) -> None:
    """Puts the legend of all axes, or the one given, below the figure."""
    figure.legend(*handles_and_labels, loc="outside lower center", frameon=False, fontsize=fontsize)


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


def image_rows(images: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Rows of images as a PNG, as `sample_grid`.

    Args:
      images: uint8 [..., N, H, W, C], N in a row.
      path: file to make.

    Raises:
      EvaluationError: the array is something else.
    """
    images = np.asarray(images)
    if images.ndim < 5:
        raise EvaluationError(f"Samples must be uint8 [..., N, H, W, C]; got {list(images.shape)}.")
    sample_grid(images.reshape(-1, *images.shape[-3:]), path, columns=images.shape[-4])


def image_file(
    source: pathlib.Path, draw: Callable[[np.ndarray, pathlib.Path], None], target: pathlib.Path
) -> bool:
    """Draws the images of an array in a file; returns whether there is such a file.

    Raises:
      EvaluationError: it is damaged, or holds something else than images.
    """
    if not source.exists():
        return False
    try:
        draw(np.load(source, allow_pickle=False), target)
    except (OSError, ValueError, EOFError, EvaluationError) as error:
        raise EvaluationError(
            f"The samples {source} cannot be shown ({error}). "
            "Delete the file and run --mode=sample, which makes it again."
        ) from error
    return True
