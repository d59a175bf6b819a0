"""AUROC of every detector on every set, as a heat map."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tfp_ood import detectors
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section

# Orange to blue, which people with any colour vision tell apart; blue ends far darker than orange,
# so that gray paper does too.
_COLORS = LinearSegmentedColormap.from_list("auroc", ["#d95f02", "#ffffff", "#08306b"])
_DARK = 0.8  # from here on letters are white
_COIN = 0.5
_NUM_LETTERS = 20  # of a set's label, that there is room for

_CAPTION = (
    "AUROC of every detector on every set. Blue: foreign images are told apart; white: a coin; "
    "orange and hatched: foreign images pass for more usual than the own ones."
)


def section(evidence: Evidence) -> Section | None:
    """The map; None where there is a single detector, or no set but reduced contrast."""
    names = list(evidence.panel.detectors)
    if len(names) < 2 or len(evidence.shown) < 2:
        return None
    sets = evidence.shown[1:]
    lines = (f"{one.label}: {_words(one, names)}" for one in sets)
    figure = evidence.draw("heat_map", draw(sets, names), "; ".join(lines), _CAPTION)
    return Section(html.section("Which detector tells which set", figure))


def _words(one: JudgedSet, names: Sequence[str]) -> str:
    values = (f"{name} {one.about.scores[name]['auroc']:.2f}" for name in names)
    return ", ".join(values)


def draw(sets: Sequence[JudgedSet], names: Sequence[str]) -> Figure:
    """Draws a row for each set and a column for each detector, the combined one apart.

    Args:
      sets: other than the in-distribution one.
      names: of the detectors that judged them.
    """
    values = np.array([[one.about.scores[name]["auroc"] for name in names] for one in sets])
    longest = max(len(one.label) for one in sets)
    width = max(4.5, 2.4 + 0.58 * len(names)) + max(0.0, 0.08 * (longest - _NUM_LETTERS))
    figure, (axes,) = figures.panels(width, 2.3 + 0.36 * len(sets))
    axes.imshow(values, cmap=_COLORS, vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        _draw_cell(axes, row, column, value)
    titles = [detectors.DETECTORS[name].title for name in names]
    axes.set_xticks(range(len(names)), titles, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(sets)), [one.label for one in sets])
    axes.tick_params(labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    if names[-1] == detectors.COMBINED:
        axes.get_xticklabels()[-1].set_fontweight("bold")
        axes.axvline(len(names) - 1.5, color="black", linewidth=2)
    return figure


def _draw_cell(axes: Axes, row: int, column: int, value: float) -> None:
    """The number, and hatches where foreign images are preferred."""
    if value < _COIN:
        axes.fill_between(
            [column - 0.5, column + 0.5],
            row - 0.5,
            row + 0.5,
            hatch="////",
            facecolor="none",
            edgecolor="#ffffff",
            linewidth=0,
        )
    color = "white" if value >= _DARK else "black"
    shown = f"{value:.2f}" if value < 0.995 else f"{value:.3f}"
    box = {"facecolor": _COLORS(value), "edgecolor": "none", "pad": 1.0}
    axes.text(column, row, shown, ha="center", va="center", color=color, fontsize=9, bbox=box)
