"""Our Glow against PyTorch's: `python -m tests.benchmarks.peers` prints JSON.

Needs the extra `[bench]`, best in an environment of its own, and a C++ compiler for
`torch.compile`. 32x32x3, 3 levels of 4 steps, batch 32, float32: uint8 images, dequantized with
fresh noise. Training is a whole step of Adam; sampling gives uint8 images. The peers are the Glow
of normflows and one that is written as public PyTorch code usually is (`torch_glow.py`), eager and
compiled. All run in turns, in processes of their own, each with the threads that suit it; a ratio
is ours over a peer's. Give the machine nothing else to do.

  --rounds=5 --round_seconds=1.0   how often and how long each is timed; medians are printed
  --widths=64,256                  hidden channels
  --only=train,log_prob,sample     tasks
"""

import argparse
import functools
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks import machine, turns

SIZES = {"image_shape": (32, 32, 3), "levels": 3, "steps": 4, "batch": 32}
WIDTHS = (64, 256)
TASKS = ("train", "log_prob", "sample")
OURS = "ours"
PACKAGES = ("tensorflow", "tensorflow-probability", "tf_keras", "torch", "normflows")
COMPILERS = ("c++", "g++", "clang++")


def our_functions(num_hidden: int) -> dict[str, Callable]:
    """As the product runs them."""
    from tests.benchmarks import glow

    images, model = glow.random_images(), glow.our_glow(num_hidden)
    model.initialize(images)
    return {
        "train_ours": glow.training_step(model, images, xla=False),
        "log_prob_ours": lambda: model.log_prob(images).numpy(),
        "sample_ours": lambda: model.sample(SIZES["batch"]).numpy(),
    }


def torch_functions(num_hidden: int, compiled: bool) -> dict[str, Callable]:
    """See `torch_glow.functions`."""
    from tests.benchmarks import torch_glow

    return torch_glow.functions(SIZES, num_hidden, compiled)


def normflows_functions(num_hidden: int) -> dict[str, Callable]:
    """See `normflows_glow.functions`."""
    from tests.benchmarks import normflows_glow

    return normflows_glow.functions(SIZES, num_hidden)


def makers(num_hidden: int) -> list[Callable]:
    """One for each process."""
    return [
        functools.partial(turns.sharing_cores, functools.partial(our_functions, num_hidden)),
        functools.partial(torch_functions, num_hidden, False),
        functools.partial(torch_functions, num_hidden, True),
        functools.partial(normflows_functions, num_hidden),
    ]


def missing() -> list[str]:
    """What this environment lacks, in words."""
    found = [
        f"the package {name}; pip install -e '.[bench]'"
        for name in ("torch", "normflows")
        if importlib.util.find_spec(name) is None
    ]
    if not any(shutil.which(name) for name in COMPILERS):
        found.append(f"a C++ compiler ({', '.join(COMPILERS)}), which torch.compile needs")
    return found


def comparison(seconds: dict[str, float], batch: int) -> dict[str, Any]:
    """Images/s of each, and ours over the best and over every peer.

    Args:
      seconds: of a call of TASK_NAME.
      batch: images of a call.
    """
    speeds: dict[str, dict[str, float]] = {}
    for key, value in seconds.items():
        task = next(task for task in TASKS if key.startswith(f"{task}_"))
        speeds.setdefault(task, {})[key.removeprefix(f"{task}_")] = batch / value
    ratios = {
        task: {name: round(of[OURS] / speed, 2) for name, speed in of.items() if name != OURS}
        for task, of in speeds.items()
    }
    return {
        "images_per_second": {
            task: {name: round(speed, 1) for name, speed in of.items()}
            for task, of in speeds.items()
        },
        "ratio_to_each_peer": ratios,
        "ratio_to_best_peer": {task: min(of.values()) for task, of in ratios.items()},
    }


def main(words: Sequence[str]) -> int:
    """Prints the comparison at every width as JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round_seconds", type=float, default=1.0)
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))
    parser.add_argument("--only", default=",".join(TASKS))
    given = parser.parse_args(words)
    lacking = missing()
    if lacking:
        print("Missing: " + "; ".join(lacking) + ".", file=sys.stderr)
        return 2
    results = []
    for num_hidden in map(int, given.widths.split(",")):
        print(f"{num_hidden} hidden channels ...", file=sys.stderr)
        seconds = turns.seconds_of_processes(
            makers(num_hidden), given.rounds, given.round_seconds, tuple(given.only.split(","))
        )
        results.append({"num_hidden": num_hidden, **comparison(seconds, SIZES["batch"])})
    timing = {"rounds": given.rounds, "round_seconds": given.round_seconds}
    facts = {**SIZES, **timing, "machine": machine.facts(PACKAGES), "results": results}
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
