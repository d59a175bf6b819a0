"""What the machine can do, and what a graph asks of it, in floating-point operations."""

from collections.abc import Callable

import tensorflow as tf

from tests.benchmarks.turns import interleaved_seconds, rival_seconds

__all__ = ["MATMUL_FLOPS", "graph_flops", "interleaved_seconds", "matmul_function", "rival_seconds"]

_MATMUL_SIZE = 2048
MATMUL_FLOPS = 2.0 * _MATMUL_SIZE**3
"""Floating-point operations of `matmul_function`."""


def matmul_function() -> Callable[[], object]:
    """A float32 matrix product: what the machine can do."""
    a, b = (tf.random.normal([_MATMUL_SIZE] * 2) for _ in range(2))
    product = tf.function(lambda: tf.matmul(a + 0.0, b)[0, 0])
    return lambda: product().numpy()


def graph_flops(graph: tf.Graph) -> float:
    """Floating-point operations of the convolutions and matrix products of a traced graph.

    Counted from static shapes (a multiply-add is two), gradients included, padding counted as if
    it were image, as is usual.
    """
    return sum(_FLOPS[op.type](op) for op in graph.get_operations() if op.type in _FLOPS)


def _of_convolution(kernel: tf.TensorShape, output: tf.TensorShape) -> float:
    return 2.0 * output.num_elements() * kernel[:3].num_elements()


def _of_matmul(op: tf.Operation) -> float:
    inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
    return 2.0 * inner * op.outputs[0].shape.num_elements()


_FLOPS: dict[str, Callable[[tf.Operation], float]] = {
    "Conv2D": lambda op: _of_convolution(op.inputs[1].shape, op.outputs[0].shape),
    "Conv2DBackpropInput": lambda op: _of_convolution(op.inputs[1].shape, op.inputs[2].shape),
    "Conv2DBackpropFilter": lambda op: _of_convolution(op.outputs[0].shape, op.inputs[2].shape),
    "MatMul": _of_matmul,
}
