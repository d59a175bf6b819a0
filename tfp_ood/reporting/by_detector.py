"""The table of detectors and sets that several pages have."""

from collections.abc import Sequence
from typing import Any

from tfp_ood import detectors
from tfp_ood.reporting import html
from tfp_ood.reporting.judged import JudgedSet

APART = "metrics apart"
"""The kind of a table (`html.table`) whose last row is set apart."""


def auroc_table(sets: Sequence[JudgedSet], names: Sequence[str], caption: str) -> str:
    """AUROC with its interval: a row for each detector and a column for each set.

    The best detector of each set is marked; the combined one is the last row, set apart.

    Args:
      sets: other than the in-distribution one.
      names: of the detectors that judged them.
      caption: what the table shows.
    """
    alone = [name for name in names if name != detectors.COMBINED]
    rows = [[detectors.DETECTORS[name].title, *_cells(sets, name, alone)] for name in alone]
    if detectors.COMBINED in names:
        title = detectors.DETECTORS[detectors.COMBINED].title
        rows.append([html.bold(title), *_cells(sets, detectors.COMBINED, [])])
    header = ["Detector", *(one.label for one in sets)]
    kind = APART if detectors.COMBINED in names else "metrics"
    return html.table(caption, header, rows, kind)


def _cells(sets: Sequence[JudgedSet], name: str, alone: Sequence[str]) -> list[Any]:
    """The AUROCs of a detector; bold where no other of `alone` is better."""
    cells = []
    for one in sets:
        cell = html.with_interval(one.about.scores[name], "auroc")
        best = max((one.about.scores[other]["auroc"] for other in alone), default=2.0)
        is_best = len(alone) > 1 and one.about.scores[name]["auroc"] >= best
        cells.append(html.bold(cell) if is_best else cell)
    return cells
