"""The whole config of a run, as far as its work directory tells.

`config.json` has what the model depends on. The rest is in what the other stages left: what they
were asked, the metadata of the score tables, the record of the samples. Earlier versions did not
leave what they were asked, of which the report and the score tables tell most.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from tfp_ood import options
from tfp_ood.config import Config, EvaluateConfig, ExportConfig, from_config_dict
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import asked, tables
from tfp_ood.reporting import summary as summary_lib
from tfp_ood.workdir import WorkDir


def config(places: WorkDir, facts: dict[str, Any]) -> Config:
    """What a run was trained with, and how its tables and its report were made."""
    own = facts.get("data", {}).get("in_distribution")
    found = {**_told(places), **asked.noted(places)}
    names = dict.fromkeys(name for name in found["out_of_distribution"] if name != own)
    given = {
        "evaluate": _evaluate(places, own),
        "export": {"false_alarm_rate": found["false_alarm_rate"]},
        "sample": _sampled(places),
        "data": {
            "out_of_distribution": tuple(names),
            **{name: found[name] for name in asked.OF_DATA if name in found},
        },
    }
    return from_config_dict(options.merged(facts, given))


def _told(places: WorkDir) -> dict[str, Any]:
    """What the report and the score tables tell of what `asked` notes."""
    rate = ExportConfig.false_alarm_rate
    try:
        found = summary_lib.read(places.summary)
        names = [key.rpartition("/")[0] for key in found.datasets]
        rate = found.false_alarm_rate or rate
    except (OSError, ValueError, KeyError, TypeError):  # no report, which `Run.summary` says
        names = [name for name, _ in scored(places)]
    num_test = _num_test(places, names)
    return {"out_of_distribution": names, "num_test": num_test, "false_alarm_rate": rate}


def _evaluate(places: WorkDir, own: Any) -> dict[str, Any]:
    """What the held-out images were asked; a reference is not among it, which no guard needs."""
    try:
        facts = tables.read_score_table(places.score_table(own, "validation")).metadata
    except EvaluationError:  # not evaluated, which `Run.detector` says
        return {}
    fields = {field.name for field in dataclasses.fields(EvaluateConfig)} - {"reference"}
    return {name: value for name, value in facts.items() if name in fields}


def _sampled(places: WorkDir) -> dict[str, Any]:
    """How many samples were drawn, and at which temperature."""
    try:
        facts = json.loads(places.sample_facts.read_text())
        return {name: facts[name] for name in ("num_images", "temperature")}
    except (OSError, ValueError, KeyError, TypeError):  # none were
        return {}


def scored(places: WorkDir) -> list[tuple[str, str]]:
    """(name, split) of the tables in a work directory that can be read."""
    return [(facts["dataset"], facts["split"]) for facts in _facts(places)]


def _num_test(places: WorkDir, names: Sequence[str]) -> int:
    """How many images of every set of these names were chosen to be scored; 0 for all."""
    known = (one for one in _facts(places) if one["dataset"] in names)
    current = (one for one in known if one["weights"] == places.weights)
    chosen = (one for one in current if "chosen_at_random_of" in one["preprocessing"])
    return next((one["num_images"] for one in chosen), 0)


def _facts(places: WorkDir) -> list[dict[str, Any]]:
    """The metadata of the tables in a work directory that can be read."""
    found = []
    for path in sorted(places.scores.glob("*.parquet")):
        facts = tables.facts_of(path)
        with contextlib.suppress(ValueError):
            tables.require_keys(facts)
            found.append(facts)
    return found
