"""Timing of rival functions, in turns, so that a drifting machine is fair to all.

Loads nothing heavy: some of the rivals know nothing of TensorFlow, and their process should not.
"""

import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection

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
    makers = [functools.partial(sharing_cores, ours), rivals]
    return seconds_of_processes(makers, rounds, round_seconds)


def seconds_of_processes(
    makers: Sequence[Callable[[], Functions]],
    rounds: int,
    round_seconds: float,
    prefixes: tuple[str, ...] = ("",),
) -> dict[str, float]:
    """The same for functions of several processes, one for each maker.

    Args:
      makers: each makes functions, in a process of its own, with names that no other has;
        importable by name.
      rounds: how often each function is timed.
      round_seconds: about how long each time.
      prefixes: of the names of those functions that are timed; by default all are.
    """
    context = multiprocessing.get_context("spawn")
    timers, connections = {}, []
    for make in makers:
        connection, far_end = context.Pipe()
        context.Process(target=_serve, args=(far_end, make), daemon=True).start()
        far_end.close()  # so that a process that dies is seen here as the end of its pipe
        connections.append(connection)
        for name in (n for n in connection.recv() if n.startswith(prefixes)):
            timers[name] = _remote_timer(connection, name)
    seconds = _interleave(timers, rounds, round_seconds)
    for connection in connections:
        connection.send(None)
    return seconds


def sharing_cores(make: Callable[[], Functions]) -> Functions:
    """`make`, with TensorFlow's cores shared as the command line does; see `devices`."""
    from tfp_ood import devices  # the others' processes have not got it

    devices.share_cores()
    return make()


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
    return {name: statistics.median(times) for name, times in seconds.items()}


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


def _serve(connection: Connection, make: Callable[[], Functions]) -> None:
    """In the other process: tells the names of its functions, then times them on demand."""
    timers = {name: _timer(function) for name, function in make().items()}
    connection.send(list(timers))
    while (request := connection.recv()) is not None:
        name, calls = request
        connection.send(timers[name](calls))
