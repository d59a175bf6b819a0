"""What TensorFloat-32 does to exported likelihoods: python -m tests.benchmarks.tensorfloat RUN...

Each is a work directory with scores and an export. The exported log_prob of some of its own test
images is compared with that of a copy in which the operands of every float32 product are rounded,
as GPUs since Ampere round them by default, and of one in which those of float64 are rounded too, as
if a flow's own signal were in float32. On a CPU. Prints one JSON object: nats, mean and standard
deviation over images, for each run.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tests.export import tensorfloat
from tfp_ood import devices
from tfp_ood.evaluation import images, tables
from tfp_ood.workdir import WorkDir, open_workdir


def own_images(workdir: WorkDir, count: int) -> np.ndarray:
    """Own test images, of those that are kept beside their score table."""
    paths = sorted(workdir.scores.glob("*.parquet"))
    held_out = next(p for p in paths if tables.facts_of(p)["split"] == "validation")
    name = tables.facts_of(held_out)["dataset"]
    path = workdir.score_table(name, "test")
    return images.read_kept(path, tables.facts_of(path)).spread[:count]


def differences(workdir: WorkDir, count: int) -> dict[str, list[float]]:
    """By what is rounded, mean and standard deviation of how far log_prob moves."""
    given = tf.constant(own_images(workdir, count))
    model = workdir.export / "model"
    exact = tf.saved_model.load(str(model)).signatures["log_prob"](images=given)["log_prob"]
    found = {}
    for name, float64_too in (("as_exported", False), ("all_in_float32", True)):
        with tempfile.TemporaryDirectory() as folder:
            copy = tensorfloat.load(model, pathlib.Path(folder) / "model", float64_too)
            rounded = copy.signatures["log_prob"](images=given)["log_prob"]
        moved = np.asarray(rounded - exact, np.float64)
        found[name] = [round(float(value), 3) for value in (moved.mean(), moved.std())]
    return found


def main() -> None:
    """Reads the command line and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--images", type=int, default=128)
    args = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    devices.share_cores()
    found = {run: differences(open_workdir(run), args.images) for run in args.runs}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
