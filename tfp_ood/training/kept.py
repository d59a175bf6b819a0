"""The models that stages hand on to those after them in one process.

To make a model and to trace what it computes takes longer than to score some thousand images.
"""

import contextlib
import contextvars
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # stages are chosen before TensorFlow starts
    from tfp_ood.models import LikelihoodModel

_kept: "contextvars.ContextVar[dict[Hashable, LikelihoodModel] | None]" = contextvars.ContextVar(
    "kept", default=None
)


@contextlib.contextmanager
def between_stages() -> Iterator[None]:
    """Within it, in this thread, models are handed on; elsewhere each that is asked for is new."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def put(key: Hashable, model: "LikelihoodModel") -> None:
    """Hands a model on; `key` says whose weights it has, None that it is not to be handed on."""
    models = _kept.get()
    if models is not None and key is not None:
        models[key] = model


def get(key: Hashable) -> "LikelihoodModel | None":
    """The model that was handed on with that key, if any."""
    return (_kept.get() or {}).get(key)
