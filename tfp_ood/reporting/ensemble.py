"""Runs that differ in their seed alone, as ensembles: does WAIC rescue the detector?"""

import collections
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood.detectors import ensemble as ensembles
from tfp_ood.reporting import html
from tfp_ood.reporting.runs import Run
from tfp_ood.reporting.summary import detection

_NAMES = {
    "mean": "mean of log p",
    "variance": "variance of log p",
    "waic": "WAIC, mean minus variance",
}


def compare(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], str]:
    """The AUROC of ensemble scores beside those of their members.

    Args:
      runs: those of one config but the seed make an ensemble; others have no part in it.

    Returns:
      For every ensemble {"members": labels, "sets": {key: {score: {"auroc", "auroc_interval"}}}};
      and a section of HTML, empty without an ensemble.

    Raises:
      EvaluationError: members were scored on different images.
    """
    found = [_scores(members) for members in _ensembles(runs)]
    if not found:
        return [], ""
    words = (
        "<p>Models of one config, trained from different seeds. A foreign image might be told by "
        "how much they disagree on it: WAIC(x) = E[log&nbsp;p(x)] &minus; Var[log&nbsp;p(x)] over "
        "models (Choi et al., 2018).</p>"
    )
    return found, html.section("Ensembles", words + "\n".join(map(_part, found)))


def _ensembles(runs: Sequence[Run]) -> list[list[Run]]:
    groups = collections.defaultdict(list)
    for run in runs:
        facts = {key: value for key, value in run.config.items() if key != "seed"}
        groups[json.dumps(facts, sort_keys=True)].append(run)
    return [members for members in groups.values() if len({m.config["seed"] for m in members}) > 1]


def _scores(members: Sequence[Run]) -> dict[str, Any]:
    by_set = [{table.key: table for table in run.tables} for run in members]
    own_key = members[0].tables[0].key
    own = ensembles.scores([tables[own_key] for tables in by_set])
    common = [t.key for t in members[0].tables[1:] if all(t.key in tables for tables in by_set)]
    sets = {}
    for key in common:
        single = {run.label: run.metrics(t[key]) for run, t in zip(members, by_set, strict=True)}
        foreign = ensembles.scores([tables[key] for tables in by_set])
        sets[key] = {
            **{label: _auroc(metrics) for label, metrics in single.items()},
            **{name: _auroc(detection(own[name], foreign[name])) for name in ensembles.SCORES},
        }
    return {
        "members": [run.label for run in members],
        "sets": sets,
        "labels": {key: members[0].summary["datasets"][key]["label"] for key in common},
    }


def _auroc(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: metrics[key] for key in ("auroc", "auroc_interval")}


def _part(found: Mapping[str, Any]) -> str:
    sentences = [
        _sentence(label, found["sets"][key], found["members"])
        for key, label in found["labels"].items()
    ]
    return _table(found) + f"\n<p>{html.escape(' '.join(sentences))}</p>"


def _sentence(label: str, by_score: Mapping[str, Any], members: Sequence[str]) -> str:
    """Whether WAIC rescues the detector of a set."""
    single = [by_score[member]["auroc"] for member in members]
    waic = by_score["waic"]["auroc"]
    outcome = "likelier still than own images" if waic < 0.5 else "told better than by a coin"
    return (
        f"{label} by WAIC: AUROC {waic:.2f}, where members alone have {min(single):.2f} to "
        f"{max(single):.2f}; {outcome}."
    )


def _table(found: Mapping[str, Any]) -> str:
    header = ["Score", *(html.escape(label) for label in found["labels"].values())]
    rows = [
        [
            html.escape(_NAMES.get(score, score)),
            *(html.with_interval(by_score[score], "auroc") for by_score in found["sets"].values()),
        ]
        for score in (*found["members"], *ensembles.SCORES)
    ]
    caption = f"AUROC of {len(found['members'])} members alone, and of the scores of all together"
    return html.table(caption, header, rows, "metrics")
