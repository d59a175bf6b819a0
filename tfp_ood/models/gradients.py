"""Gradients of each image's log-likelihood, for all images of a batch in one backward pass.

`tape.jacobian` takes a backward pass for each image, and no vectorised one knows the gradient of a
kernel. But images meet parameters in few operations only. The graph tells which: those that
depend on the images and have an input that depends on parameters alone. One backward pass gives
dY for the outputs of all of them; `gradient_rules` makes of each dY the gradient of every image
with respect to that input; and from there to the parameters lead products of small tensors, for
all images at once. The models know nothing of it.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_ood.models import gradient_rules

_TINY, _HUGE = 1e-30, 1e38


def per_image(
    log_prob: tf.Tensor,
    images: tf.Tensor,
    variables: Sequence[tf.Variable],
    inputs: Sequence[tf.Tensor] = (),
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Gradients of every image, to be called while a `tf.function` is traced.

    Each `log_prob` depends on its own image alone, and has come to be in this graph: not in a loop,
    nor in another `tf.function`.

    Args:
      log_prob: `[B]`.
      images: `[B, ...]`, the tensor of this graph that `log_prob` was computed from.
      variables: parameters.
      inputs: tensors `[B, ...]` between `images` and `log_prob`.

    Returns:
      d log_prob / d variable, float32 `[B, *shape]` each; and d log_prob / d input, of its shape.

    Raises:
      NotImplementedError: images and parameters meet in an operation without a rule.
    """
    reads, uses = _meetings(images, variables)
    outputs = [use.op.outputs[0] for use in uses]
    found = tf.gradients(log_prob, [*outputs, *inputs])
    num_images = tf.shape(images)[0]
    by_source = _Sums()
    for use, gradient in zip(uses, found[: len(uses)], strict=True):
        if gradient is not None:  # else it leads to other statistics
            of_image = gradient_rules.of_parameter(use.op, use.place, gradient, num_images)
            by_source.add(use.op.inputs[use.place], of_image)
    by_read = _back_to_reads(by_source, [read for own in reads for read in own])
    of_variables = []
    for variable, own in zip(variables, reads, strict=True):
        parts = [by_read.total(read) for read in own if read.ref() in by_read]
        zeros = tf.zeros([num_images, *variable.shape])
        of_variables.append(tf.add_n(parts) if parts else zeros)
    return of_variables, found[len(uses) :]


def log_squared_norms(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """log |g|^2 of each of V gradients `[B, ...]`: `[B, V]`, within what float32 can hold."""
    squares = [tf.reduce_sum(tf.square(g), list(range(1, g.shape.rank))) for g in gradients]
    return tf.math.log(tf.clip_by_value(tf.stack(squares, 1), _TINY, _HUGE))


def names(model: tf.Module) -> list[str]:
    """What to call the trainable variables of a model, in their order.

    By their place among all, and by attributes on the way there: "002_network/first/kernel". The
    same for every model of a config, in every process, trained or loaded.
    """
    paths: dict[Any, str] = {}
    seen: dict[int, Any] = {}  # kept, so that no other gets the id of one that is gone
    waiting = collections.deque([(model, ())])
    while waiting:
        part, path = waiting.popleft()
        for name, child in tf.train.TrackableView(part).children(part).items():
            if name == "optimizer" or id(child) in seen:
                continue
            seen[id(child)] = child
            if isinstance(child, tf.Variable):
                paths[child.ref()] = "/".join([*path, name.lstrip("_")])
            # Numbers of layers, and what is private to libraries, say nothing.
            told = name.isidentifier() and not name.startswith("_") and name != "distribution"
            waiting.append((child, (*path, name) if told else path))
    return [f"{i:03}_{paths[v.ref()]}" for i, v in enumerate(model.trainable_variables)]


class _Use(NamedTuple):
    """An operation on images that takes a tensor of parameters."""

    op: tf.Operation
    place: int


class _Sums(dict):
    """Tensor (its `ref()`) -> gradients, which add up."""

    def add(self, tensor: tf.Tensor, gradient: tf.Tensor) -> None:
        self.setdefault(tensor.ref(), []).append(gradient)

    def total(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.add_n(self[tensor.ref()])


def _meetings(
    images: tf.Tensor, variables: Sequence[tf.Variable]
) -> tuple[list[list[tf.Tensor]], list[_Use]]:
    """Where the graph reads each variable, and where parameters meet images."""
    graph = images.graph
    handles = [graph.capture(variable.handle) for variable in variables]
    of_images, of_parameters = {images.op.name}, {handle.op.name for handle in handles}
    reads: dict[str, list[tf.Tensor]] = {handle.name: [] for handle in handles}
    uses = []
    # Inputs come before what they enter.
    for op in graph.get_operations():
        sources = [tensor.op.name for tensor in op.inputs]
        # Single numbers, such as those that are made of the images' size, are of no image.
        has_axes = any(tensor.shape.rank != 0 for tensor in op.outputs)
        if has_axes and not of_images.isdisjoint([op.name, *sources]):
            of_images.add(op.name)
            uses += [
                _Use(op, place)
                for place, tensor in enumerate(op.inputs)
                if tensor.op.name in of_parameters and tensor.dtype.is_floating
            ]
        elif not of_parameters.isdisjoint(sources):
            of_parameters.add(op.name)
            if op.type == "ReadVariableOp":
                reads[op.inputs[0].name].append(op.outputs[0])
    return [reads[handle.name] for handle in handles], uses


def _back_to_reads(by_source: _Sums, reads: Sequence[tf.Tensor]) -> _Sums:
    """Gradients with respect to what parameters were made into, with respect to parameters."""
    refs = {read.ref() for read in reads}
    by_read = _Sums({ref: found for ref, found in by_source.items() if ref in refs})
    made = [ref.deref() for ref in by_source if ref not in refs]
    if not made:
        return by_read
    before = _before(made)
    behind = [read for read in reads if read.op.name in before]

    def chain(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        return tf.gradients(made, behind, gradients, unconnected_gradients="zero")

    gradients = [by_source.total(tensor) for tensor in made]
    found = tf.vectorized_map(chain, gradients, fallback_to_while_loop=False)
    for read, gradient in zip(behind, found, strict=True):
        by_read.add(read, gradient)
    return by_read


def _before(tensors: Iterable[tf.Tensor]) -> set[str]:
    """Names of the operations that tensors depend on."""
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found.add(op.name)
            waiting += [tensor.op for tensor in op.inputs]
    return found
