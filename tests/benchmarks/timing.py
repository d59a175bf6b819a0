"""Timing of rival functions in one process, in turns, so that a drifting machine is fair to all."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf


def interleaved_seconds(
    functions: Mapping[str, Callable[[], object]], rounds: int = 8, round_seconds: float = 1.0
) -> dict[str, float]:
    """Median seconds of a call of each function.

    Every function is warmed up (traced, compiled) first; then, in each round, each in turn is
    called for about `round_seconds`.
    """
    calls = {}
    for name, function in functions.items():
        function()
        start = time.perf_counter()
        function()
        once = time.perf_counter() - start
        calls[name] = max(1, round(round_seconds / once))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                function()
            seconds[name].append((time.perf_counter() - start) / calls[name])
    return {name: float(np.min(times)) for name, times in seconds.items()}


def matmul_function(size: int = 2048) -> tuple[Callable[[], object], float]:
    """A float32 matrix product and its floating-point operations: what the machine can do."""
    a = tf.random.normal([size, size])
    b = tf.random.normal([size, size])
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(a, b)[0]))
    return lambda: product().numpy(), 2.0 * size**3


def convolution_flops(concrete_function: tf.types.experimental.ConcreteFunction) -> float:
    """Floating-point operations of all convolutions of a graph with static shapes, and of the
    convolutions of their gradients, counted from the shapes of inputs and kernels."""
    total = 0.0
    for op in concrete_function.graph.get_operations():
        if op.type == "Conv2D":
            total += _convolution_flops(op.outputs[0].shape, op.inputs[1].shape)
    return total


def _convolution_flops(output_shape, kernel_shape):
    return 2.0 * np.prod(output_shape.as_list()) * np.prod(kernel_shape.as_list()[:3])
