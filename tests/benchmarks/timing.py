"""Timing of rival functions in one process, in turns, so that a drifting machine is fair to all."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf


def interleaved_seconds(
    functions: Mapping[str, Callable[[], object]], rounds: int = 12, round_seconds: float = 0.4
) -> dict[str, float]:
    """Median seconds of a call of each function.

    Every function is warmed up (traced, compiled) first; then, in each round, each in turn is
    called for about `round_seconds`, so that a busy moment of the machine meets them all.
    """
    calls = {}
    for name, function in functions.items():
        function()
        calls[name] = max(1, round(round_seconds / _seconds(function, 1)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name].append(_seconds(function, calls[name]))
    return {name: float(np.median(times)) for name, times in seconds.items()}


def _seconds(function: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def matmul_function(size: int = 2048) -> tuple[Callable[[], object], float]:
    """A float32 matrix product and its floating-point operations: what the machine can do."""
    a, b = tf.random.normal([size, size]), tf.random.normal([size, size])
    product = tf.function(lambda: tf.matmul(a + 0.0, b)[0, 0])
    return lambda: product().numpy(), 2.0 * size**3


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
