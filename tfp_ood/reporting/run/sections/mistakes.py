"""What the guard gets wrong: foreign images that it misses, and own ones that it flags."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfp_ood.detectors.guard import Judgement
from tfp_ood.reporting import figures, html, reasons
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.shares import percent

_NUM_SHOWN = 8  # of each set
_NUM_REASONS = 2
_LETTERS = 19  # in a line below an image

_Found = Mapping[str, Any]


def section(evidence: Evidence) -> Section | None:
    """A row of images for every set that has some; None without a guard, or without mistakes."""
    if evidence.summary.false_alarm_rate is None:
        return None
    judged = {one.key: evidence.panel.guard.judge([one.table]) for one in evidence.shown}
    found = {one.key: mistakes(one, judged[one.key], one is evidence.in_set)
             for one in evidence.shown}  # fmt: skip
    sets = [one for one in evidence.shown if found[one.key]["shown"]]
    if not sets:
        return None
    sentences = [_sentence(one, found[one.key], one is evidence.in_set) for one in sets]
    alt = " ".join(sentences)
    caption = (
        "Of the own images the most suspicious, of foreign ones the least suspicious to the left, "
        "with the p-value and what single detectors find unusual. Chosen among up to "
        f"{max(entry['num_looked_at'] for entry in found.values())} images of each set."
    )
    drawing = draw(sets, found, evidence.in_set.key)
    figure = evidence.draw("mistakes", drawing, alt, caption)
    files = _files(sets, found)
    return Section(
        html.section("What the guard gets wrong", html.bullets(sentences) + figure + files), found
    )


def mistakes(one: JudgedSet, judgement: Judgement, is_own: bool) -> dict[str, Any]:
    """The kept images of a set that the guard gets wrong.

    Args:
      one: the set, with its kept images.
      judgement: of all images of the set.
      is_own: whether it is the in-distribution set, whose flagged images are the wrong ones; of
        others it is those that pass.

    Returns:
      `num_looked_at` and `num_wrong` of the kept images, and `shown`, at most `_NUM_SHOWN` of the
      latter, the worst first: `index` in the score table, `source` as there, `p_value` and
      `reasons`, in words.
    """
    index, source = one.kept.spread_index, one.table.source
    wrong = index[judgement.flagged[index] == is_own]
    suspicion = judgement.score[wrong]
    worst = wrong[np.argsort(-suspicion if is_own else suspicion, kind="stable")][:_NUM_SHOWN]
    return {
        "num_looked_at": len(index),
        "num_wrong": len(wrong),
        "shown": [
            {
                "index": int(place),
                **({} if source is None else {"source": source[place]}),
                "p_value": float(judgement.p_value[place]),
                "reasons": reasons.of_image(judgement, place),
            }
            for place in worst
        ],
    }


def _files(sets: Sequence[JudgedSet], found: Mapping[str, _Found]) -> str:
    """Where the images are from, folded; "" where no set is of a person's own files."""
    rows = [
        [entry["source"], one.label, reasons.with_p_value(entry)]
        for one in sets
        for entry in found[one.key]["shown"]
        if "source" in entry
    ]
    if not rows:
        return ""
    table = html.table(
        "The images above, from left to right", ["image", "set", "why"], rows, "facts"
    )
    return html.folded("Their files", table)


def _sentence(one: JudgedSet, found: _Found, is_own: bool) -> str:
    share = percent(found["num_wrong"] / found["num_looked_at"], 1)
    if is_own:
        return f"{one.label}, the model's own: {share} of the images looked at are flagged."
    return f"{one.label}: {share} of the images looked at pass."


def draw(sets: Sequence[JudgedSet], found: Mapping[str, _Found], in_key: str) -> Figure:
    """Draws a row for each set.

    Args:
      sets: with their kept images.
      found: key of a set -> its `mistakes`.
      in_key: of the in-distribution set.
    """
    figure = figures.new(7.5, 1.75 * len(sets))
    grid = figure.subplots(len(sets), _NUM_SHOWN, squeeze=False)
    for row, one in zip(grid, sets, strict=True):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, entry in zip(row, found[one.key]["shown"], strict=False):
            _draw_image(axes, one, entry)
        words = "own, flagged" if one.key == in_key else "missed"
        row[0].set_title(" ", fontsize=9)  # whose height, but not its width, makes room
        title = row[0].text(
            0, 1.05, f"{one.label}, {words}", transform=row[0].transAxes, fontsize=9
        )
        title.set_in_layout(False)
    return figure


def _draw_image(axes: Axes, one: JudgedSet, entry: _Found) -> None:
    image = one.kept.spread[np.searchsorted(one.kept.spread_index, entry["index"])]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.spines[:].set(visible=True, color=figures.OWN_COLOR, linewidth=1)
    why = [f"- {words}" for words in reasons.wrapped(entry["reasons"], _NUM_REASONS)]
    lines = [f"p = {entry['p_value']:.2g}"]
    lines += [line for words in why for line in textwrap.wrap(words, _LETTERS)]
    lines += [] if why else ["nothing unusual"]
    axes.set_xlabel("\n".join(lines), fontsize=6, labelpad=2)
