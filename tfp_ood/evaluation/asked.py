"""What the last stages of a run were asked that no other file tells, for `tfp_ood.load_run`.

`asked.json` in the work directory: the sets that were judged, how many images of each and what was
done about files that cannot be read (`OF_DATA`), and the rate of false alarms that the guard was
asked for.
"""

import json
from collections.abc import Mapping
from typing import Any

from tfp_ood import atomic
from tfp_ood.workdir import WorkDir

OF_DATA = ("num_test", "unreadable")
"""Keys of `config.data` that are noted, and are no facts of a training."""


def note(workdir: WorkDir, facts: Mapping[str, Any]) -> None:
    """Keeps facts of the trained weights, beside what was kept of them before."""
    whole = {**noted(workdir), **facts, "weights": workdir.weights}
    atomic.write_json(workdir.asked, whole)


def noted(workdir: WorkDir) -> dict[str, Any]:
    """What `note` kept of the trained weights; {} where it kept nothing."""
    try:
        facts = json.loads(workdir.asked.read_text())
        is_current = facts.pop("weights") == workdir.weights
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return facts if is_current else {}
