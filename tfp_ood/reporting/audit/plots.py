"""The pictures of an audit."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from tfp_ood.detectors.guard import Judgement
from tfp_ood.reporting import figures
from tfp_ood.reporting.judged import JudgedSet

_NUM_SHOWN = 10
_LOOKS = {"P": figures.COLORS[1], "G": figures.COLORS[0], "L": figures.OWN_COLOR}


def likeliest(judged: Sequence[JudgedSet], found: Mapping[str, Judgement]) -> Figure:
    """The likeliest images of every set, framed by who stops them.

    Args:
      judged: in-distribution first.
      found: key of a set -> what the guard says of its images.
    """
    figure = figures.new(7.5, 1.05 * len(judged))
    grid = figure.subplots(len(judged), _NUM_SHOWN, squeeze=False)
    for row, one in zip(grid, judged, strict=True):
        letters = who_stops(found[one.key], one.kept.extreme_index[0])
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, image, letter in zip(row, one.kept.extremes[0], letters, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.spines[:].set(visible=True, color=_LOOKS[letter], linewidth=3)
            axes.set_xlabel(letter, fontsize=8, color=_LOOKS[letter], labelpad=1)
        row[0].set_title(one.label, fontsize=9, loc="left", pad=3)
    return figure


def who_stops(judgement: Judgement, index: Sequence[int]) -> list[str]:
    """L: likelihood alone; G: only the guard; P: neither, for some images of a set."""
    low, flagged = judgement.beyond_likelihood[index], judgement.flagged[index]
    return ["L" if a else "G" if b else "P" for a, b in zip(low, flagged, strict=True)]
