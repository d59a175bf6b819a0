"""The paper's figure: densities of log p(x) of all sets over one axis."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_ood import units
from tfp_ood.reporting import figures
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section

_NUM_BINS = 60

_CAPTION = (
    "Likelihoods of all sets under one model; further right is likelier. "
    "Every set has an area of 1, with what is off the axis."
)


def section(evidence: Evidence) -> Section:
    """The figure that the page opens with."""
    drawing = draw(evidence.shown)
    means = "; ".join(f"{one.label} {one.about.log_prob_mean:,.0f}" for one in evidence.sets)
    alt = f"Histograms of log-likelihood. Means in nats per image: {means}."
    return Section(evidence.draw("likelihoods", drawing, alt, _CAPTION))


def draw(sets: Sequence[JudgedSet]) -> Figure:
    """Draws the histogram.

    The axis is in nats per image, so that more likely is to the right as in the paper; the upper
    axis tells the same in bits per dimension. Sets that lie far from the model's own images do
    not stretch it: what is left out is said in the legend, and counts in the density.

    Args:
      sets: in-distribution first, with images of equal size.
    """
    low, high = figures.axis_range([one.table.log_prob for one in sets])
    edges = np.linspace(low, high, _NUM_BINS + 1)
    # Room for the legend below, so that the axes keep their height with any number of sets.
    figure, (axes,) = figures.panels(7.5, 3.4 + 0.25 * len(sets))
    shown = ((n, one.table.log_prob, _label(one, low, high)) for n, one in enumerate(sets))
    figures.draw_densities(axes, edges, shown)
    axes.set_xlim(low, high)
    axes.set_xlabel("log p(x)  [nats per image]   (triangles: means)", fontsize=12)
    axes.set_ylabel("density", fontsize=12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize=11)
    num_dims = sets[0].table.num_dims
    upper = axes.secondary_xaxis(
        "top",
        functions=(
            lambda nats: units.bits_per_dim(nats, num_dims),
            lambda bits: units.log_prob_from_bits(bits, num_dims),
        ),
    )
    upper.set_xlabel("bits per dimension", fontsize=12)
    upper.tick_params(labelsize=11)
    figures.add_legend(figure)
    return figure


def _label(one: JudgedSet, low: float, high: float) -> str:
    if one.about.scores:
        label = f"{one.label}, AUROC {one.about.likelihood['auroc']:.2f}"
    else:
        label = f"{one.label} (in-distribution)"
    return f"{label}, n = {one.table.num_images:,}{_off_axis(one.table.log_prob, low, high)}"


def _off_axis(values: np.ndarray, low: float, high: float) -> str:
    """Words for what the axis leaves out; "" if there are none."""
    num_left, num_right = int(np.sum(values < low)), int(np.sum(values > high))
    if not num_left + num_right:
        return ""
    if values.size in (num_left, num_right):
        side = "left" if num_left else "right"
        return f"; all off the axis to the {side}, mean {np.mean(values):,.0f} nats"
    return f"; {(num_left + num_right) / values.size:.2%} off the axis"
