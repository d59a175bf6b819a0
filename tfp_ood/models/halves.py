"""Two halves of a batch side by side, so that small operations keep all cores of a CPU busy.

One operation on a batch is often too small for all cores; TensorFlow's executor runs the operations
of the two halves beside each other. With each operation on half of the cores
(`devices.share_cores`) a small Glow trains and scores a third faster on two cores. With GPUs, or
several replicas, the batch stays whole. XLA keeps the order of operations, and its CPU kernels took
100 times as long for the halves, so that it gets the whole batch too.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Part = dict[str, tf.Tensor]


def in_halves(function: Callable[[Part, tf.Tensor], Part], batch: Part, xla: bool = False) -> Part:
    """`function` of a batch, computed as two functions of half of it that run at the same time.

    Args:
      function: from a part of the batch, and its number (int32 `[]`, 0 or 1, for seeds), to
        tensors of one value or row per image; traced once for both halves.
      batch: tensors `[B, ...]` of equal B, at least 1.
      xla: whether XLA will compile this.

    Returns:
      What `function` returned for all B images.
    """
    if _stays_whole(xla):
        return function(batch, tf.constant(0))
    traced = tf.function(function, autograph=False)
    first, second, overlap = _halves(batch)
    found, more = traced(first, tf.constant(0)), traced(second, tf.constant(1))
    return {name: tf.concat([found[name], more[name][overlap:]], 0) for name in found}


def sums_in_halves(
    function: Callable[[Part, tf.Tensor, tf.Tensor, Any], list[tf.Tensor | None]],
    batch: Part,
    shared: Any = (),
    xla: bool = False,
) -> list[tf.Tensor | None]:
    """Sums over the images of a batch, computed as `in_halves`.

    Args:
      function: from a part of the batch, its number, how many of its first images do not
        count (int32 `[]`), and `shared`, to sums over the others, or None.
      batch: tensors `[B, ...]` of equal B, at least 1.
      shared: tensors in any structure, which a tape in `function` can watch.
      xla: whether XLA will compile this.

    Returns:
      What `function` returned, of all B images.
    """
    if _stays_whole(xla):
        return function(batch, tf.constant(0), tf.constant(0), shared)
    traced = tf.function(function, autograph=False)
    first, second, overlap = _halves(batch)
    found = traced(first, tf.constant(0), tf.constant(0), shared)
    more = traced(second, tf.constant(1), overlap, shared)
    return [None if a is None else a + b for a, b in zip(found, more, strict=True)]


def _stays_whole(xla: bool) -> bool:
    several_replicas = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return xla or several_replicas or bool(tf.config.list_logical_devices("GPU"))


def _halves(batch: Part) -> tuple[Part, Part, tf.Tensor]:
    """Both halves, and how many images the second has of the first: one for an odd number, since
    kernels refuse empty batches."""
    of_one = next(iter(batch.values()))
    # A number that the graph knows spares it operations on shapes.
    num_images = tf.shape(of_one)[0] if of_one.shape[0] is None else of_one.shape[0]
    half = (num_images + 1) // 2
    first = {k: v[:half] for k, v in batch.items()}
    second = {k: v[num_images - half :] for k, v in batch.items()}
    return first, second, tf.convert_to_tensor(2 * half - num_images)
