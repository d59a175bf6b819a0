"""The report's section on likelihood against training progress."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfp_ood.reporting import figures, html

_REACH = 1.0  # how far from the own images' range others may stretch the axis, in its widths


def section(found: Mapping[str, Any], labels: Mapping[str, str], paths: Sequence[Any]) -> str:
    """The section's HTML; draws its figure.

    Args:
      found: of `over_training`.
      labels: key of a set -> what it is called.
      paths: of the figure, the PNG first.
    """
    draw(found, labels, paths)
    sentences = " ".join(sentences_of(found, labels))
    counts = sorted({entry["num_images"] for entry in found["sets"].values()})
    caption = (
        "Above, bits/dim of the watched images (likelier is up): means and 90 % of the images. "
        "Below, AUROC of likelihood with its 95 % interval; under the line at 0.5 foreign images "
        f"are likelier. {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} images of "
        "each set, one draw, scored at every checkpoint; the first is before any training."
    )
    figure = html.figure("progress", paths[0], f"Curves over training steps. {sentences}", caption)
    return html.section("Over training", f"<p>{html.escape(sentences)}</p>" + figure)


def sentences_of(found: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """For each foreign set, whether and from when on likelihood prefers it."""
    own, *others = found["sets"]
    last = found["steps"][-1]
    sentences = []
    for key in others:
        entry = found["sets"][key]
        auroc = f"AUROC {entry['auroc'][-1]:.2f} at step {last:,}"
        if entry["prefers_from"] is None:
            prefers = [high < 0.5 for _, high in entry["auroc_interval"]]
            ever = "at earlier checkpoints only" if any(prefers) else "at no checkpoint"
            sentences.append(f"{labels[key]} is preferred to {labels[own]} {ever}; {auroc}.")
        else:
            sentences.append(
                f"{labels[key]} is preferred to {labels[own]} from step "
                f"{entry['prefers_from']:,} on, at every checkpoint; {auroc}."
            )
    return sentences


def draw(found: Mapping[str, Any], labels: Mapping[str, str], paths: Sequence[Any]) -> None:
    """Bits/dim above and AUROC below, over training steps."""
    sets = found["sets"]
    figure = Figure(figsize=(7.5, 6 + 0.25 * len(sets)), layout="constrained")
    bits_axes, auroc_axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for number, (key, entry) in enumerate(sets.items()):
        look = figures.style(number)
        bits_axes.fill_between(
            found["steps"], entry["low"], entry["high"], color=look["color"], alpha=0.15
        )
        bits_axes.plot(found["steps"], entry["mean"], **look, linewidth=2, label=labels[key])
        if "auroc" in entry:
            low, high = zip(*entry["auroc_interval"], strict=True)
            auroc_axes.fill_between(found["steps"], low, high, color=look["color"], alpha=0.15)
            auroc_axes.plot(found["steps"], entry["auroc"], **look, linewidth=2)
    bits_axes.set_ylabel("-log p(x)  [bits/dim], likelier is up", fontsize=11)
    bits_axes.set_ylim(*_limits(list(sets.values())))
    auroc_axes.axhline(0.5, color="#555555", linewidth=1)
    auroc_axes.set(ylim=(-0.02, 1.02), xlim=(0, max(found["steps"][-1], 1)))
    auroc_axes.set_ylabel("AUROC of likelihood", fontsize=12)
    auroc_axes.set_xlabel("training step", fontsize=12)
    auroc_axes.xaxis.set_major_formatter("{x:,.0f}")
    for axes in (bits_axes, auroc_axes):
        _plain(axes)
    figure.legend(loc="outside lower center", frameon=False, fontsize=11)
    figures.save(figure, paths)


def _limits(sets: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Limits of bits/dim, likelier up: all of the own images, and of others what is not far."""
    low, high = min(sets[0]["low"]), max(sets[0]["high"])
    reach = _REACH * max(high - low, 1e-3)
    bottom = min(high + reach, max(max(entry["high"]) for entry in sets))
    top = max(low - reach, min(min(entry["low"]) for entry in sets))
    return bottom, top


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=11)
    axes.spines[["right", "top"]].set_visible(False)
