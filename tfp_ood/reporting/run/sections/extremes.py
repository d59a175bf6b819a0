"""The likeliest and the unlikeliest images of every set."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section

_NUM_SHOWN = 10  # of each end
_FRAME = (150, 180, 210)


def section(evidence: Evidence) -> Section:
    """Two rows of images for every set."""
    drawing = draw(evidence.shown)
    labels = ", ".join(one.label for one in evidence.shown)
    alt = f"The likeliest and unlikeliest images of {labels}"
    caption = (
        "What the model finds likeliest and unlikeliest of every set; most extreme to the left."
    )
    figure = evidence.draw("extremes", drawing, alt, caption)
    return Section(html.section("The likeliest and the unlikeliest images", figure))


def draw(sets: Sequence[JudgedSet]) -> Figure:
    """Draws the images of sets, the most extreme to the left."""
    figure, grid = figures.panels(7.5, 1.6 * len(sets), 2 * len(sets))
    for number, one in enumerate(sets):
        for end, word in enumerate(("likeliest", "unlikeliest")):
            axes = grid[2 * number + end]
            bits = one.table.bits_per_dim[one.kept.extreme_index[end][:_NUM_SHOWN]]
            axes.imshow(_strip(one.kept.extremes[end]), interpolation="nearest")
            title = f"{one.label}, {word}: {bits[0]:.2f} to {bits[-1]:.2f} bits/dim"
            axes.set_title(title, fontsize=9, loc="left", pad=3)
            axes.set_axis_off()
    return figure


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
