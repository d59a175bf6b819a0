"""Figures of the rotated digits; drawn without pyplot, as in `reporting.figures`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfp_ood.reporting.figures import COLORS, OWN_COLOR, new
from tfp_ood.rotated.config import NUM_CLASSES
from tfp_ood.rotated.predictions import Predictions
from tfp_ood.rotated.summary import CONFIDENT, LABELS, Tables, of_set, ranges, wrong_probability

_CLASS_COLORS = (*COLORS, "#F0E442", "#000000", "#E5D8BD", "#7A3E1D")
"""Colours of the classes that a digit is not; numbers tell them apart too."""
_STYLES = {
    "softmax": ("#000000", "-"),
    "dropout": (COLORS[4], (0, (1, 1))),
    "ensemble": (COLORS[2], "-."),
    "flipout": (COLORS[0], "--"),
    "mnf": (COLORS[1], "-"),
}
"""Colour and line of each variant, so that curves differ on gray paper too."""

_NUM_PICTURES = 10
_SHOWN_SHARE = 0.35  # a class with less is not written into the figure
_NUMBER = {"ha": "center", "va": "center", "fontsize": 11, "fontweight": "bold"}
_TITLE = {"fontsize": 11, "loc": "left"}
_WIDTH = 7.5  # inches


def digit_figure(tables: Tables, pictures: np.ndarray, digit: int) -> Figure:
    """Class probabilities of one digit against its angle, a row for each variant.

    Below them the entropies of all variants, and the digit as it is turned.

    Args:
      tables: variant -> predictions for that one image at all angles, in their order.
      pictures: the images, uint8 [A, H, W, 1].
      digit: its class.
    """
    heights = [1.0] * len(tables) + [1.5, 0.9]
    figure = new(_WIDTH, 1.05 * sum(heights) + 0.5)
    rows = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    for axes, (variant, table) in zip(rows, tables.items(), strict=False):
        _draw_probabilities(axes, table, digit)
        axes.set_ylabel("probability", fontsize=9)
        axes.set_title(LABELS[variant], **_TITLE, pad=3)
    _draw_entropies(rows[-2], tables)
    _draw_pictures(rows[-1], tables["softmax"].keys["angle"], pictures)
    _legend(figure, rows[0], "upper", NUM_CLASSES)
    _legend(figure, rows[-2], "lower", 3)
    return figure


def turned_figure(summary: Mapping[str, Any]) -> Figure:
    """Over many digits, against the angle: how often a variant is confidently wrong; entropy.

    Args:
      summary: of `summary.summarize`.
    """
    turned = summary["turned"]
    figure = new(_WIDTH, 3.9)
    panels = figure.subplots(1, 2)
    titles = {
        "share_confidently_wrong": f"share with a wrong class at {CONFIDENT} or more",
        "mean_entropy": "mean entropy  [nats]",
    }
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for variant, entry in turned["variants"].items():
            axes.plot(turned["angle"], entry[name], **_curve(variant))
        axes.set_title(title, **_TITLE)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("angle  [degrees]", fontsize=11)
        _finish(axes, turned["angle"])
    _legend(figure, panels[0], "lower", 3)
    return figure


def entropy_figure(tables: Tables, summary: Mapping[str, Any]) -> Figure:
    """Cumulative curves of the predictive entropy, a panel for each set.

    Args:
      tables: variant -> predictions for all sets.
      summary: of these, for labels.
    """
    sets = summary["sets"]
    figure = new(_WIDTH, 3.9)
    panels = np.atleast_1d(figure.subplots(1, len(sets), sharey=True))
    for axes, (key, entry) in zip(panels, sets.items(), strict=True):
        for variant, table in tables.items():
            axes.ecdf(of_set(table, key).entropy, **_curve(variant))
        axes.set_xlim(0, math.log(tables["softmax"].probabilities.shape[1]))
        axes.set_xlabel("entropy  [nats]", fontsize=11)
        axes.set_title(f"{entry['label']}\nn = {entry['num_images']:,}", **_TITLE)
        axes.spines[["right", "top"]].set_visible(False)
    panels[0].set_ylabel("share of images with less", fontsize=11)
    _legend(figure, panels[0], "lower", 3)
    return figure


def _curve(variant: str) -> dict[str, Any]:
    """How a variant's curve looks, and what it is called, in every figure."""
    color, line = _STYLES[variant]
    return {"color": color, "linestyle": line, "linewidth": 2, "label": LABELS[variant]}


def _draw_probabilities(axes: Axes, table: Predictions, digit: int) -> None:
    """Stacked probabilities: the digit's own class in gray at the bottom, the others in colour.

    A class's number stands once in every range of angles where it is the likeliest.
    """
    angles, top = table.keys["angle"], table.probabilities.argmax(axis=1)
    bottom = np.zeros(len(angles))
    for name in sorted(range(table.probabilities.shape[1]), key=lambda c: c != digit):
        color = OWN_COLOR if name == digit else _CLASS_COLORS[name]
        shares = table.probabilities[:, name]
        axes.fill_between(
            angles, bottom, bottom + shares, step="mid", color=color, linewidth=0, label=str(name)
        )
        for found in ranges(top == name):
            where = (found.start + found.stop - 1) // 2
            if shares[where] < _SHOWN_SHARE:
                where = found.start + int(np.argmax(shares[found]))
            if shares[where] >= _SHOWN_SHARE:
                middle = bottom[where] + shares[where] / 2
                axes.text(angles[where], middle, str(name), color=_ink(color), **_NUMBER)
        bottom = bottom + shares
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.axhline(CONFIDENT, color="white", linewidth=0.8, linestyle=":")
    _finish(axes, angles)


def _ink(color: str) -> str:
    """The colour of a text on this one."""
    brightness = np.dot(matplotlib.colors.to_rgb(color), (0.299, 0.587, 0.114))
    return "white" if brightness < 0.55 else "black"


def _draw_entropies(axes: Axes, tables: Tables) -> None:
    """Entropies; shaded is where the plain network is certain of a wrong class."""
    angles = tables["softmax"].keys["angle"]
    half = (angles[1] - angles[0]) / 2
    for angle in angles[wrong_probability(tables["softmax"]) >= CONFIDENT]:
        axes.axvspan(angle - half, angle + half, color="#dddddd", linewidth=0)
    for variant, table in tables.items():
        axes.plot(angles, table.entropy, **_curve(variant))
    axes.set_ylim(0, math.log(tables["softmax"].probabilities.shape[1]))
    title = f"entropy  [nats]   (shaded: plain softmax gives a wrong class {CONFIDENT} or more)"
    axes.set_title(title, **_TITLE, pad=3)
    _finish(axes, angles)


def _draw_pictures(axes: Axes, angles: np.ndarray, pictures: np.ndarray) -> None:
    """Every so many degrees, the digit under its angle."""
    shown = np.unique(np.linspace(0, len(angles) - 1, _NUM_PICTURES).round().astype(int))
    half = (angles[shown[1]] - angles[shown[0]]) / 2 * 0.94
    for number in shown:
        extent = (angles[number] - half, angles[number] + half, 0, 1)
        axes.imshow(
            pictures[number, ..., 0], cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto"
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("angle  [degrees counterclockwise]", fontsize=11)
    axes.set_xticks(angles[shown])
    axes.set_xlim(angles[0] - half - 1, angles[-1] + half + 1)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.spines[:].set_visible(False)


def _finish(axes: Axes, angles: Sequence[float]) -> None:
    axes.set_xlim(angles[0], angles[-1])
    axes.spines[["right", "top"]].set_visible(False)


def _legend(figure: Figure, axes: Axes, side: str, columns: int) -> None:
    """What the axes' colours and lines stand for, above or below the figure."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc=f"outside {side} center",
        ncols=columns,
        frameon=False,
        fontsize=11,
        handlelength=1.2 if side == "upper" else 2.5,
        columnspacing=1.2,
    )
