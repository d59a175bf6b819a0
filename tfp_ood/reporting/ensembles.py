"""Runs that differ in their seed alone, as ensembles: which they are, and how they detect."""

import collections
import json
from collections.abc import Sequence
from typing import Any

from tfp_ood import detectors
from tfp_ood.reporting.runs import Run
from tfp_ood.reporting.summary import detection


def judge_ensembles(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The AUROC of ensemble scores beside those of their members.

    Args:
      runs: those of one config but the seed make an ensemble; others have no part in it.

    Returns:
      For every ensemble {"members": labels, "sets": {key: {member or detector: {"auroc",
      "auroc_interval"}}}, "labels": {key: what the set is called}}.

    Raises:
      EvaluationError: members were scored on different images.
    """
    return [_judge(members) for members in _ensembles(runs)]


def _ensembles(runs: Sequence[Run]) -> list[list[Run]]:
    groups = collections.defaultdict(list)
    for run in runs:
        facts = {key: value for key, value in run.config.items() if key != "seed"}
        groups[json.dumps(facts, sort_keys=True)].append(run)
    return [members for members in groups.values() if len({m.config["seed"] for m in members}) > 1]


def _judge(members: Sequence[Run]) -> dict[str, Any]:
    by_set = [{one.key: one for one in run.sets} for run in members]
    in_key = members[0].in_set.key
    common = [one.key for one in members[0].out_sets if all(one.key in sets for sets in by_set)]

    def tables(key: str) -> list[Any]:
        return [sets[key].table for sets in by_set]

    judges = detectors.of_ensembles()
    in_scores = {name: one.score(tables(in_key)) for name, one in judges.items()}
    found = {}
    for key in common:
        pairs = zip(members, by_set, strict=True)
        single = {run.label: sets[key].about.likelihood for run, sets in pairs}
        joint = {
            name: detection(in_scores[name], one.score(tables(key))) for name, one in judges.items()
        }
        found[key] = {
            name: {metric: metrics[metric] for metric in ("auroc", "auroc_interval")}
            for name, metrics in {**single, **joint}.items()
        }
    return {
        "members": [run.label for run in members],
        "sets": found,
        "labels": {key: by_set[0][key].label for key in common},
    }
