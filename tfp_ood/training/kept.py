"""The models that stages hand on to those after them in one process.

To make a model and to trace what it computes takes longer than to score some thousand images.
"""

import contextlib
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # stages are chosen before TensorFlow starts
    from tfp_ood.models import LikelihoodModel

_kept: "dict[Hashable, LikelihoodModel] | None" = None


@contextlib.contextmanager
def between_stages() -> Iterator[None]:
    """Within it models are handed on; elsewhere each that is asked for is a new one."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def put(key: Hashable, model: "LikelihoodModel") -> None:
    """Hands a model on; `key` says whose weights it has, and for which devices."""
    if _kept is not None:
        _kept[key] = model


def get(key: Hashable) -> "LikelihoodModel | None":
    """The model that was handed on with that key, if any."""
    return (_kept or {}).get(key)
