"""An exported guard says on the GPU what it says on a CPU."""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

import numpy as np

from tests.gpu import fixed, machine
from tests.gpu.table import Row, at_most
from tests.guards import columns_of, guard_of
from tfp_ood.export import saved_model

PART = "serving"
NUM_HELD_OUT = 80
NUM_EACH = 24
FALSE_ALARM_RATE = 0.1
_SEED_HELD_OUT, _SEED_USUAL = 1, 2
_ROOT = pathlib.Path(__file__).parents[2]
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}

LOG_PROB_LIMIT = 1e-4
"""Relative difference, as of `agreement`."""
P_VALUE_LIMIT = 1.01 / (NUM_HELD_OUT // 2 + 1)
"""One rank among the half of the held-out images that set the threshold, where rounding decides
between equals."""


def judged() -> np.ndarray:
    """Usual images, then foreign ones: the same upside down and inverted, and noise."""
    usual = fixed.images(NUM_EACH, seed=_SEED_USUAL)
    noise = np.random.RandomState(0).randint(0, 256, usual.shape).astype(np.uint8)
    return np.concatenate([usual, 255 - usual[:, ::-1], noise])


def export(folder: pathlib.Path) -> pathlib.Path:
    """The fixed Glow and a guard of held-out images, as a SavedModel in a folder."""
    model = fixed.model("glow")
    held_out = columns_of(model, fixed.images(NUM_HELD_OUT, seed=_SEED_HELD_OUT))
    saved_model.write(folder / "model", model, 1, guard_of(held_out, FALSE_ALARM_RATE))
    return folder / "model"


def served(
    model: pathlib.Path, environments: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, np.ndarray]]:
    """What the guard tells in processes of their own, beside each other.

    Args:
      model: exported; images are put beside it.
      environments: name -> what differs from this process's environment.
    """
    folder = model.parent
    np.save(folder / "images.npy", judged())
    processes = {
        name: subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.gpu.serve", str(model)),
                *(str(folder / "images.npy"), str(folder / f"{name}.npz")),
            ],
            cwd=_ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not this process's, whose end is waited for
        )
        for name, changes in environments.items()
    }
    for name, process in processes.items():
        if process.wait():
            raise RuntimeError(f"the process that serves on {name} ended with {process.returncode}")
    return {name: dict(np.load(folder / f"{name}.npz")) for name in processes}


def rows_of(on_device: dict, on_cpu: dict, gpus: int) -> list[Row]:
    """All rows, of what was told.

    Args:
      on_device: columns of the images.
      on_cpu: the same.
      gpus: that the first should have had.
    """
    flags = "is_out_of_distribution"
    count = len(on_cpu[flags])
    differ = {key: int(np.sum(on_device[key] != on_cpu[key])) for key in (flags, "reasons")}
    told = {
        key: float(np.max(np.abs(on_device[key] - on_cpu[key]))) for key in ("p_value", "log_prob")
    }
    relative = told["log_prob"] / float(np.min(np.abs(on_cpu["log_prob"])))
    flagged = int(np.sum(on_cpu[flags]))
    found_gpus = int(on_device["gpus"])
    return [
        Row(PART, "GPUs of the serving process", str(found_gpus), str(gpus), found_gpus == gpus),
        Row(PART, "flagged images", f"{flagged} of {count}", "some", 0 < flagged < count),
        at_most(PART, "verdicts that differ from a CPU's", differ[flags], 0),
        at_most(PART, "reasons that differ", differ["reasons"], 0),
        at_most(PART, "p-values, difference", told["p_value"], P_VALUE_LIMIT),
        at_most(PART, "log_prob, relative difference", relative, LOG_PROB_LIMIT),
    ]


def prepare(smoke: bool) -> Callable[[], list[Row]]:
    """See `parts`."""
    with tempfile.TemporaryDirectory() as folder:
        told = served(export(pathlib.Path(folder)), {"device": {}, "cpu": WITHOUT_GPU})
    rows = rows_of(told["device"], told["cpu"], int(machine.kind() == "GPU"))
    return lambda: rows
