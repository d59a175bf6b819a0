"""Which of several processes this one is, from the environment variable TF_CONFIG.

TensorFlow reads the same variable, but fails on a wrong one with a traceback, or waits for ever.
Nothing heavy is imported: a wrong TF_CONFIG must be refused in a second.
"""

import dataclasses
import json
import os
from typing import Any

from tfp_ood.config import Config, ConfigError
from tfp_ood.errors import UserError

ENVIRONMENT = "TF_CONFIG"

_VALID = (
    'valid is, with a port for every worker and the index of this one, {"cluster": {"worker": '
    '["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of one training, and which of them this process is."""

    workers: tuple[str, ...] = ("",)
    """HOST:PORT of each."""
    index: int = 0
    """The number of this process in `workers`."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what a run leaves: the first does, for all."""
        return self.index == 0

    @property
    def num_workers(self) -> int:
        """Processes that train together."""
        return len(self.workers)


def kind(config: Config) -> str:
    """`config.train.strategy`, with `auto` and `multi_worker` decided as far as TF_CONFIG decides
    them: a cluster of one worker is none.

    Raises:
      UserError: TF_CONFIG is needed and missing, or malformed.
    """
    chosen = config.train.strategy
    if chosen not in ("auto", "multi_worker") or not os.environ.get(ENVIRONMENT):
        return chosen
    return "multi_worker" if from_environment().num_workers > 1 else "auto"


def of(config: Config) -> Cluster:
    """The cluster that trains a config; of this process alone unless it is `multi_worker`.

    Raises:
      ConfigError: `multi_worker` without TF_CONFIG.
      UserError: TF_CONFIG is malformed.
    """
    if kind(config) != "multi_worker":
        return Cluster()
    if not os.environ.get(ENVIRONMENT):
        valid = f"auto, single or mirrored without {ENVIRONMENT} in the environment; with it, "
        raise ConfigError("train.strategy", "multi_worker", valid + _VALID)
    return from_environment()


def from_environment() -> Cluster:
    """What TF_CONFIG says; this process alone where it is not set.

    Raises:
      UserError: it is malformed.
    """
    text = os.environ.get(ENVIRONMENT)
    if not text:
        return Cluster()
    try:
        given = json.loads(text)
        workers, task = given["cluster"]["worker"], given["task"]
        others = sorted(set(given["cluster"]) - {"worker"})
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(f"it has no {error}" if isinstance(error, KeyError) else str(error)) from None
    if others:
        raise _wrong(f"its cluster has {others[0]!r} beside workers")
    if not isinstance(workers, list) or not workers or not all(map(_is_address, workers)):
        raise _wrong(f"its workers are {workers!r}")
    if len(set(workers)) < len(workers):
        raise _wrong(f"a worker is named twice in {workers!r}")
    return Cluster(tuple(workers), _index(task, len(workers)))


def _index(task: Any, num_workers: int) -> int:
    index = task.get("index") if isinstance(task, dict) else None
    # Task files of schedulers hold it as text; TensorFlow takes both.
    if isinstance(index, str) and index.isdigit():
        index = int(index)
    is_number = isinstance(index, int) and not isinstance(index, bool)
    if not is_number or task.get("type") != "worker" or not 0 <= index < num_workers:
        raise _wrong(f"its task is {task!r}, with {num_workers} workers")
    return index


def _is_address(text: Any) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


def _wrong(what: str) -> UserError:
    return UserError(f"{ENVIRONMENT} cannot be used: {what}; {_VALID}.")
