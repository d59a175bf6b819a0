"""The tables of detectors and sets that several pages have."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood import detectors
from tfp_ood.reporting import html, reasons
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.shares import percent

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


def unusual_table(fired: Mapping[str, Mapping[str, Mapping[str, float]]], caption: str) -> str:
    """What each detector finds unusual by itself: a row for each and a column for each set.

    Args:
      fired: label of a set -> `reasons.shares` of its images, of the same detectors.
      caption: what the table shows.
    """
    rows = []
    for name in next(iter(fired.values())):
        detector, cells = detectors.DETECTORS[name], []
        for shares in fired.values():
            high, low = (shares[name][side] for side in ("too_high", "too_low"))
            share = percent(high + low, 1)
            if detector.tails == "both" and high + low > 0:
                share = html.with_small(share, reasons.words(name, 1 if high >= low else -1))
            cells.append(share)
        rows.append([detector.title, *cells])
    return html.table(caption, ["Detector", *fired], rows, "metrics")
