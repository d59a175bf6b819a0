"""Matrix products of a flow's own signal: float32's accuracy, whatever computes them.

By default TensorFlow lets GPUs since Ampere round the operands of float32 products to the 10 bits
of TensorFloat-32. That does little to what a coupling's network says, but the signal itself goes
through a product of channels in every step: rounded in each, it can no longer be inverted, and its
latents belong to another image. A process of this package forbids it (`devices.keep_float32`); a
graph that leaves the process cannot, and has these products in float64, which nothing rounds.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import tensorflow as tf

_float64 = contextvars.ContextVar("float64", default=False)


@contextlib.contextmanager
def in_float64(is_on: bool = True) -> Iterator[None]:
    """While it is open, products of float32 are computed in float64.

    It acts where Python runs: open it around the tracing of a graph.
    """
    token = _float64.set(is_on)
    try:
        yield
    finally:
        _float64.reset(token)


def matmul(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """`a @ b`.

    Stacks of one matrix are taken for what they hold: where gradients of images are vectorised,
    oneDNN's product of `[B, 1, N, N]` and such a stack is wrong, and writes beyond its memory
    (TensorFlow 2.21, processors with AMX).
    """
    if a.shape.rank == b.shape.rank == 3 and a.shape[0] == b.shape[0] == 1:
        return _computed(tf.matmul, a[0], b[0])[tf.newaxis]
    return _computed(tf.matmul, a, b)


def triangular_solve(matrix: tf.Tensor, rhs: tf.Tensor, lower: bool) -> tf.Tensor:
    """x of `matrix @ x = rhs`, for a matrix of which one triangle counts."""
    return _computed(lambda m, r: tf.linalg.triangular_solve(m, r, lower=lower), matrix, rhs)


def _computed(product: Callable[..., tf.Tensor], *operands: tf.Tensor) -> tf.Tensor:
    dtype = operands[0].dtype
    if not _float64.get() or dtype != tf.float32:
        return product(*operands)
    return tf.cast(product(*(tf.cast(one, tf.float64) for one in operands)), dtype)
