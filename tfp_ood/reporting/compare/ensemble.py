"""Runs that differ in their seed alone, as ensembles: does WAIC rescue the detector?"""

from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood import detectors
from tfp_ood.reporting import html
from tfp_ood.reporting.ensembles import judge_ensembles
from tfp_ood.reporting.runs import Run


def section(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], str]:
    """What `judge_ensembles` finds, and a section of HTML, empty without an ensemble.

    Raises:
      EvaluationError: members were scored on different images.
    """
    found = judge_ensembles(runs)
    if not found:
        return [], ""
    words = (
        "<p>Models of one config, trained from different seeds. A foreign image might be told by "
        "how much they disagree on it: WAIC(x) = E[log&nbsp;p(x)] &minus; Var[log&nbsp;p(x)] over "
        "models (Choi et al., 2018).</p>"
    )
    return found, html.section("Ensembles", words + "\n".join(map(_part, found)))


def _part(found: Mapping[str, Any]) -> str:
    sentences = [
        _sentence(label, found["sets"][key], found["members"])
        for key, label in found["labels"].items()
    ]
    return _table(found) + f"\n<p>{html.escape(' '.join(sentences))}</p>"


def _sentence(label: str, by_score: Mapping[str, Any], members: Sequence[str]) -> str:
    """Whether WAIC rescues the detector of a set."""
    single = [by_score[member]["auroc"] for member in members]
    waic, (low, high) = by_score["waic"]["auroc"], by_score["waic"]["auroc_interval"]
    outcome = "told no better than by a coin"
    if high < 0.5:
        outcome = "more usual still than own images"
    elif low > 0.5:
        outcome = "told better than by a coin"
    return (
        f"{label} by WAIC: AUROC {waic:.2f}, where members alone have {min(single):.2f} to "
        f"{max(single):.2f}; {outcome}."
    )


def _table(found: Mapping[str, Any]) -> str:
    header = ["Score", *found["labels"].values()]
    titles = {name: one.title for name, one in detectors.of_ensembles().items()}
    rows = [
        [
            title,
            *(html.with_interval(by_score[score], "auroc") for by_score in found["sets"].values()),
        ]
        for score, title in {**{label: label for label in found["members"]}, **titles}.items()
    ]
    caption = f"AUROC of {len(found['members'])} members alone, and of the scores of all together"
    return html.table(caption, header, rows, "metrics")
