"""The pictures of an audit."""

import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from tfp_ood.detectors import conformal
from tfp_ood.detectors.conformal import Calibration
from tfp_ood.evaluation.images import Kept
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures

_NUM_SHOWN = 10
_LOOKS = {"P": figures.COLORS[1], "G": figures.COLORS[0], "L": figures.OWN_COLOR}


def likeliest(
    tables: Sequence[ScoreTable],
    kept: Sequence[Kept],
    labels: Sequence[str],
    calibration: Calibration,
    paths: Sequence[str | os.PathLike[str]],
) -> None:
    """The likeliest images of every set, framed by who stops them.

    Args:
      tables: in-distribution first.
      kept: of the same sets.
      labels: of the same sets.
      calibration: of the guard.
      paths: files to make.
    """
    figure = Figure(figsize=(7.5, 1.05 * len(tables)), layout="constrained")
    grid = figure.subplots(len(tables), _NUM_SHOWN, squeeze=False)
    for row, table, extremes, label in zip(grid, tables, kept, labels, strict=True):
        images, index = extremes.extremes[0], extremes.extreme_index[0]
        letters = stopped_by(calibration, table, index)
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, image, letter in zip(row, images, letters, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.spines[:].set(visible=True, color=_LOOKS[letter], linewidth=3)
            axes.set_xlabel(letter, fontsize=8, color=_LOOKS[letter], labelpad=1)
        row[0].set_title(label, fontsize=9, loc="left", pad=3)
    figures.save(figure, paths)


def stopped_by(calibration: Calibration, table: ScoreTable, index: Sequence[int]) -> list[str]:
    """L: likelihood alone; G: only the guard; P: neither, for images of a table."""
    log_prob = table.log_prob[index]
    low = conformal.too_unlikely(calibration, log_prob)
    flagged = conformal.verdicts(calibration, log_prob)["is_out_of_distribution"]
    return ["L" if a else "G" if b else "P" for a, b in zip(low, flagged, strict=True)]
