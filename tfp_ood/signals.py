"""SIGINT and SIGTERM end a run where the same command goes on."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal ends the run. Not an `Exception`: no library shall mistake it for a failure.

    Args:
      number: of the signal.
      where: from which the same command goes on, such as "at step 10 of 20".
    """

    def __init__(self, number: int, where: str = "from here"):
        super().__init__(number, where)
        self.number, self.where = number, where

    @property
    def exit_code(self) -> int:
        """As shells tell it: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number

    def __str__(self):
        name = signal.Signals(self.number).name
        return f"stopped by {name}; the same command goes on {self.where}."


class _State:
    """The state of this process, which has one set of signal handlers."""

    numbers: tuple[int, ...] = ()
    deferred = False
    pending: int | None = None


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Lets both signals raise `Stopped` in the block, at once or where `deferred` allows it.

    A signal that the process was started to ignore (`nohup`, a shell's background) is ignored.
    """
    if threading.current_thread() is not threading.main_thread() or _State.numbers:
        yield  # Python allows handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    _State.numbers = tuple(n for n, old in before.items() if old is not signal.SIG_IGN)
    _install()
    try:
        yield
    finally:
        for number in _State.numbers:
            signal.signal(number, before[number] or signal.SIG_DFL)
        _State.numbers = ()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the first signal in the block wait until it ends, or until `requested` is asked.

    A second one raises `Stopped` at once.
    """
    _install()  # TensorFlow's own for clusters may have taken their place
    _State.deferred, _State.pending = True, None
    try:
        yield
    finally:
        _State.deferred = False
    if _State.pending is not None:
        raise Stopped(_State.pending)


@contextlib.contextmanager
def unhandled() -> Iterator[None]:
    """Lets both signals end the process in the block, as they do by default.

    For calls into C++ that may wait for hours: handlers in Python run only after them. What such a
    call installs itself stays: TensorFlow takes SIGTERM while it waits for other workers.
    """
    for number in _State.numbers:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        _install()


def requested() -> int | None:
    """The signal that came in the last, or present, `deferred` block, if any."""
    return _State.pending


def _install() -> None:
    for number in _State.numbers:
        signal.signal(number, _on_signal)


def _on_signal(number: int, frame: object) -> None:
    if not _State.deferred or _State.pending is not None:
        raise Stopped(number)
    _State.pending = number
    name = signal.Signals(number).name
    # Not by `print`, which may be what was interrupted.
    os.write(2, f"\ntfp_ood: {name}: finishing this step; again to stop at once.\n".encode())
