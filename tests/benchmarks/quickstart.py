"""Where the seconds of the quickstart go: python -m tests.benchmarks.quickstart [ROUNDS]

The README's first command, data sets present, each time in a process and a work directory of its
own. Prints one JSON object: for each round the seconds from the start of the process to its end, to
the end of its first training step, of each stage (what is left is the start of Python and the
imports before them; those of TensorFlow are in `train`), the share that is neither `train` nor
`evaluate`; processor time and the most memory.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
_CONFIG = "--config=configs/quickstart.py"


def once(workdir: pathlib.Path) -> None:
    """Runs all stages in this process and leaves when what ended, by the clock."""
    from tfp_ood import cli, stages

    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            start = time.monotonic()
            with first_step(seconds) if name == "train" else nullcontext():
                found = stage(*given)
            seconds[name] = time.monotonic() - start
            return found

        return run

    of_all = stages.LIKELIHOOD.stages
    for name in of_all:
        of_all[name] = timed(name, of_all[name])
    sys.argv = ["main.py", _CONFIG, f"--workdir={workdir}"]
    try:
        cli.console_main()
    finally:
        (workdir / "seconds.json").write_text(json.dumps(seconds))


@contextmanager
def first_step(seconds: dict[str, float]) -> Iterator[None]:
    """Notes when the first training step was done, seconds after the system started."""
    from tfp_ood import devices

    devices.start_tensorflow()
    from tfp_ood.keras import keras

    kind = keras.callbacks.CallbackList
    usual = kind.on_train_batch_end

    def noting(self: Any, *given: Any) -> None:
        seconds.setdefault("first_step", time.monotonic())
        usual(self, *given)

    kind.on_train_batch_end = noting
    yield
    kind.on_train_batch_end = usual


def measured(folder: pathlib.Path) -> dict[str, float]:
    """One round, in a process of its own."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", __spec__.name, "--once", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    total, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = json.loads((folder / "seconds.json").read_text())
    seconds["first_step"] -= start
    elsewhere = total - seconds["train"] - seconds["evaluate"]
    found = {
        "total": total,
        **seconds,
        "share_elsewhere": elsewhere / total,
        "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_gib": after.ru_maxrss / 2**20,
    }
    return {name: round(value, 2) for name, value in found.items()}


def main(rounds: int = 3) -> None:
    """Measures all and prints."""
    with tempfile.TemporaryDirectory() as folder:
        found = [measured(pathlib.Path(folder) / str(number)) for number in range(rounds)]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        once(pathlib.Path(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
