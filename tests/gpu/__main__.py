"""Checks this package on a GPU: `python -m tests.gpu`; see docs/speed.md.

Offline, in at most four minutes. Prints a table and exits with 1 where something is wrong, with 2
where there is no GPU. Each part is a process of its own (`parts.py`): they prepare beside each
other, and are timed one after the other.

  --smoke          tiny sizes on CPUs, logical ones in the place of two GPUs
  --only=A,B       parts, by the first words of their names
  --limit_s=240    when what still runs is ended, and counted as wrong; what is not prepared after
                   three fifths of it is, so that the others have time
  --jobs=N         parts that prepare beside each other; by default half as many as cores
  --write-figures  writes figures.json, the likelihoods of this machine's CPU, and checks nothing
"""

import argparse
import concurrent.futures
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks import machine
from tests.gpu.parts import PARTS, SHOWN
from tests.gpu.table import Row, all_right, markdown
from tests.gpu.worker import CARD, NO_CARD, READY, ROWS
from tfp_ood import devices

ROOT = pathlib.Path(__file__).parents[2]
LIMIT_SECONDS = 240
_WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}
_MOST_JOBS = 8
_TAIL, _WHOLE_TAIL = 300, 4000  # letters of an error, in the table and below it
_TO_PREPARE = 0.6  # of the limit
_CARD_SECONDS = 60


class Worker:
    """The process of a part.

    Args:
      name: of the part.
      command: that starts it.
      changes: to this process's environment.
    """

    def __init__(self, name: str, command: Sequence[str], changes: dict[str, str]):
        self.name, self._command, self._changes = name, command, changes
        self._process: subprocess.Popen | None = None
        self._ended, self._is_ready, self._errors = False, False, io.StringIO()
        self._lock = threading.Lock()  # so that none starts while all are ended

    def prepare(self) -> bool:
        """Starts it and waits until it is prepared; False where it ends before."""
        with self._lock:
            if self._ended:
                return False
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env={**os.environ, **self._changes},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        self._is_ready = self._read(READY) is not None
        return self._is_ready

    def finish(self) -> list[Row]:
        """Lets it go on, and returns its rows; one that says what happened where it has none."""
        text = None
        if self._process is not None:
            with contextlib.suppress(OSError):  # it has ended
                self._process.stdin.write("go\n")
                self._process.stdin.flush()
            text = self._read(ROWS)
        if text is None:
            return [Row(self.name, "ended without a result", self._why(), "a result", False)]
        self._process.wait()
        return [Row(*values) for values in json.loads(text)]

    def end(self, unless_ready: bool = False) -> None:
        """Ends it, or keeps it from starting; not what is prepared, if that is said."""
        with self._lock:
            if unless_ready and self._is_ready:
                return
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _read(self, beginning: str) -> str | None:
        """The rest of the next line that begins so; None at the end."""
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line.removeprefix(beginning)
        self._process.wait()
        return None

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().strip()[-_WHOLE_TAIL:]

    def _why(self) -> str:
        if self._process is None:
            return "no time was left"
        return f"exit status {self._process.returncode}: {self.errors()[-_TAIL:]}"


@contextlib.contextmanager
def ended_after(seconds: float, workers: Sequence[Worker]) -> Iterator[None]:
    """Ends all workers after so many seconds, those that are not prepared after a part of them, and
    all at the end in any case."""

    def end(unless_ready: bool = False) -> None:
        for worker in workers:
            worker.end(unless_ready)

    timers = threading.Timer(seconds, end), threading.Timer(_TO_PREPARE * seconds, end, [True])
    for timer in timers:
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        end()


def run(workers: Sequence[Worker], jobs: int, limit: float) -> list[Row]:
    """The rows of all workers, in their order, and one on the time that they took together."""
    start = time.monotonic()
    with ended_after(limit, workers):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(Worker.prepare, workers))
        rows = [row for worker in workers for row in worker.finish()]
    seconds = time.monotonic() - start
    took = Row("all", "seconds", f"{seconds:.0f}", f"at most {limit:.0f}", seconds <= limit)
    return [*rows, took]


def card_name(changes: dict[str, str]) -> str:
    """What the GPU calls itself, or `NO_CARD`; seen by a process of its own.

    Args:
      changes: to this process's environment.
    """
    command = [sys.executable, "-m", "tests.gpu.worker", CARD]
    environment = {**os.environ, **changes}
    try:
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True,
                              timeout=_CARD_SECONDS)  # fmt: skip
    except subprocess.TimeoutExpired:
        sys.exit(f"TensorFlow did not start within {_CARD_SECONDS} s.")
    if told.returncode:
        sys.exit(f"TensorFlow did not start: {told.stderr.strip()[-_WHOLE_TAIL:]}")
    card = told.stdout.strip()
    if card == NO_CARD and changes != _WITHOUT_GPU:
        print(told.stderr.strip()[-_WHOLE_TAIL:], file=sys.stderr)  # TensorFlow's reasons
    return card


def _one_gpu() -> dict[str, str]:
    """The first GPU of several: of more, parts that divide one would mean others."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    return {"CUDA_VISIBLE_DEVICES": given.split(",")[0]}


def chosen(only: str) -> list[str]:
    """The parts whose names begin with one of the words.

    Raises:
      SystemExit: there are none.
    """
    words = tuple(word.strip() for word in only.split(","))
    found = [name for name in PARTS if name.startswith(words)]
    if not found:
        sys.exit(f"--only: got {only}; valid are {', '.join(PARTS)}.")
    return found


def shown(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of the table."""
    order = [*SHOWN, *sorted({row.part for row in rows} - set(SHOWN))]
    return sorted(rows, key=lambda row: order.index(row.part))


def main(words: Sequence[str]) -> int:
    """Checks and prints; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--limit_s", type=float)
    half = max(1, min(_MOST_JOBS, devices.num_cores() // 2))
    parser.add_argument("--jobs", type=int, default=half)
    parser.add_argument("--write-figures", action="store_true")
    given = parser.parse_args(words)
    if given.write_figures:
        os.environ.update(_WITHOUT_GPU)
        from tests.gpu import agreement

        agreement.write()
        return 0
    changes = _WITHOUT_GPU if given.smoke else _one_gpu()
    card = card_name(changes)
    if card == NO_CARD and not given.smoke:
        print("TensorFlow sees no GPU; --smoke tries the same on CPUs.", file=sys.stderr)
        return 2
    flags = ["--smoke"] if given.smoke else []
    command = [sys.executable, "-m", "tests.gpu.worker"]
    workers = [Worker(name, [*command, name, *flags], changes) for name in chosen(given.only)]
    # What is smoked may be any slow machine, whose time says nothing.
    limit = given.limit_s or (LIMIT_SECONDS * (10 if given.smoke else 1))
    rows = shown(run(workers, given.jobs, limit))
    facts = machine.facts(("tensorflow",))
    where = f"{facts['processor']}, {facts['cores']} cores"
    tensorflow = f"TensorFlow {facts['versions']['tensorflow']}"
    print(f"{card}; {where}; {tensorflow}; {facts['date']}")
    print(markdown(rows))
    failed = {row.part for row in rows if row.ok is False}
    for worker in workers:
        if worker.name in failed and (said := worker.errors()):
            print(f"{worker.name} said:\n{said}\n", file=sys.stderr)
    right = all_right(rows)
    print("all right" if right else "SOMETHING IS WRONG")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
