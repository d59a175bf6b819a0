"""Two halves of a batch side by side, so that small operations keep all cores of a CPU busy."""

from collections.abc import Callable

import tensorflow as tf

Part = dict[str, tf.Tensor]


def in_halves(function: Callable[[Part, tf.Tensor], Part], batch: Part, xla: bool = False) -> Part:
    """`function` of a batch, computed as two functions of half of it that run at the same time.

    One operation on a batch is often too small for all cores; TensorFlow's executor runs the
    operations of the two halves beside each other. With each operation on half of the cores
    (`devices.share_cores`) a small Glow trains and scores a third faster on two cores. With GPUs,
    or several replicas, the batch stays whole.

    Args:
      function: from a part of the batch, and its number (int32 `[]`, 0 or 1, for seeds), to
        tensors of one value or row per image; traced once for both halves.
      batch: tensors `[B, ...]` of equal B, at least 1.
      xla: whether XLA will compile this; it keeps the order of operations, and its CPU kernels
        took 100 times as long for the halves, so that the batch stays whole.

    Returns:
      What `function` returned for all B images.
    """
    several_replicas = tf.distribute.get_strategy().num_replicas_in_sync > 1
    if xla or several_replicas or tf.config.list_logical_devices("GPU"):
        return function(batch, tf.constant(0))
    traced = tf.function(function, autograph=False)
    # For an odd number the halves overlap in one image: kernels refuse empty batches.
    num_images = tf.shape(next(iter(batch.values())))[0]
    half = (num_images + 1) // 2
    first = traced({k: v[:half] for k, v in batch.items()}, tf.constant(0))
    second = traced({k: v[num_images - half :] for k, v in batch.items()}, tf.constant(1))
    overlap = 2 * half - num_images
    return {name: tf.concat([first[name], second[name][overlap:]], 0) for name in first}
