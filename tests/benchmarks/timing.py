"""Timing of rival functions, in turns, so that a drifting machine is fair to all."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

import numpy as np
import tensorflow as tf

from tfp_ood import devices

Functions = Mapping[str, Callable[[], object]]


def interleaved_seconds(
    functions: Functions, rounds: int = 12, round_seconds: float = 0.4
) -> dict[str, float]:
    """Median seconds of a call of each function.

    Every function is warmed up (traced, compiled) first; then, in each round, each in turn is
    called for about `round_seconds`, so that a busy moment of the machine meets them all.
    """
    timers = {name: _timer(function) for name, function in functions.items()}
    return _interleave(timers, rounds, round_seconds)


def rival_seconds(
    ours: Callable[[], Functions],
    rivals: Callable[[], Functions],
    rounds: int = 12,
    round_seconds: float = 0.4,
) -> dict[str, float]:
    """The same for functions of two processes: ours with `devices.share_cores`, as the command
    line sets it, and its rivals with TensorFlow's own defaults, which suit them.

    Args:
      ours: makes our functions; importable by name, as are `rivals`.
      rivals: makes the others, with different names.
      rounds: how often each is timed.
      round_seconds: about how long each time.
    """
    context = multiprocessing.get_context("spawn")
    timers, connections = {}, []
    for make, share in ((ours, True), (rivals, False)):
        connection, far_end = context.Pipe()
        context.Process(target=_serve, args=(far_end, make, share), daemon=True).start()
        far_end.close()  # so that a process that dies is seen here as the end of its pipe
        connections.append(connection)
        for name in connection.recv():
            timers[name] = _remote_timer(connection, name)
    seconds = _interleave(timers, rounds, round_seconds)
    for connection in connections:
        connection.send(None)
    return seconds


Timer = Callable[[int], float]
"""Seconds that one of so many calls takes."""


def _interleave(timers: Mapping[str, Timer], rounds: int, round_seconds: float) -> dict[str, float]:
    calls = {}
    for name, timer in timers.items():
        timer(1)
        calls[name] = max(1, round(round_seconds / timer(1)))
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds[name].append(timer(calls[name]))
    return {name: float(np.median(times)) for name, times in seconds.items()}


def _timer(function: Callable[[], object]) -> Timer:
    def seconds(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    return seconds


def _remote_timer(connection: Connection, name: str) -> Timer:
    def seconds(calls: int) -> float:
        connection.send((name, calls))
        return connection.recv()

    return seconds


def _serve(connection: Connection, make: Callable[[], Functions], share: bool) -> None:
    """In the other process: tells the names of its functions, then times them on demand."""
    if share:
        devices.share_cores()
    timers = {name: _timer(function) for name, function in make().items()}
    connection.send(list(timers))
    while (request := connection.recv()) is not None:
        name, calls = request
        connection.send(timers[name](calls))


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
