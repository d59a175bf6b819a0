"""Weights as images meet them, made of what is trained once for all parts of a batch.

A model has many layers, and of each some arithmetic of weights alone: factors of matrices, scales
as exponentials, normalizations folded into the product or kernel beside them, norms of kernels. In
a small Glow these are more operations than those that see an image. Here halves of a batch share
what comes of it (but in gradients of single images), and layers of one kind and shape have it
together, as one stack.
"""

import contextlib
import contextvars
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

import tensorflow as tf

Folded = tuple[tf.Tensor, ...]
"""What a layer computes with, as its `fold` says."""


@runtime_checkable
class Foldable(Protocol):
    """A layer whose weights are folded before images come."""

    @property
    def fold_key(self) -> Hashable:
        """The same for layers of this class that can be folded together."""

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> list[Folded]:
        """The folded weights of each of some layers with the same key, all at once."""


# A context variable, because replicas of a distributed step are traced in threads of their own.
_known = contextvars.ContextVar[Mapping[int, Folded]]("known")


def foldable(model: tf.Module) -> list[Foldable]:
    """The layers of a model, at any depth, that can be folded."""
    return [part for part in model.submodules if isinstance(part, Foldable)]


def groups(layers: Sequence[Foldable]) -> list[list[Foldable]]:
    """Layers of any kinds, those together that can be folded together."""
    found: dict[Hashable, list[Foldable]] = {}
    for layer in layers:
        found.setdefault((type(layer), layer.fold_key), []).append(layer)
    return list(found.values())


def fold(layers: Sequence[Foldable]) -> list[Folded]:
    """The folded weights of each layer, of whatever kinds they are, in their order."""
    found = {}
    for group in groups(layers):
        found |= zip(map(id, group), type(group[0]).fold(group), strict=True)
    return [found[id(layer)] for layer in layers]


@contextlib.contextmanager
def using(layers: Sequence[Foldable], folded: Sequence[Folded]) -> Iterator[None]:
    """While it is open, these layers compute with these weights.

    It acts where Python runs: open it around the tracing of a graph.

    Args:
      layers: those of `fold`.
      folded: what it returned.
    """
    token = _known.set(dict(zip(map(id, layers), folded, strict=True)))
    try:
        yield
    finally:
        _known.reset(token)


def of(layer: Foldable) -> Folded:
    """What a layer computes with now."""
    found = _known.get({}).get(id(layer))
    return type(layer).fold([layer])[0] if found is None else found
