"""Our Glow beside other forms of it: python -m tests.benchmarks.forms ROOT [FORM,...]

Trains the small Glow of CIFAR-10 in each form from each seed, in processes of their own and in work
directories under ROOT (what is finished there stays), and takes steps of all forms in turns. Prints
one JSON object: bits/dim of the validation images after as many steps, and the time of a step over
that of ours.

The published code, https://github.com/openai/glow, differs from ours in two more places: a coupling
scales by sigmoid(raw + 2) (`scale`), and the Gaussian of a split has any scale (`prior`); `both`
has both. Its networks also tell where an image ends. `plain` has networks without the actnorms and
the learned scale of the published ones.
"""

import contextlib
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.benchmarks import small
from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import cli, devices
from tfp_ood.keras import keras
from tfp_ood.models.flows import couplings, glow, networks
from tfp_ood.training import optimizers

ROOT = pathlib.Path(__file__).parents[2]

FORMS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "plain": ("plain",),
    "scale": ("scale",),
    "prior": ("prior",),
    "both": ("scale", "prior"),
}
SEEDS = (0, 1, 2)


class PlainNetwork(keras.layers.Layer):
    """A coupling network whose convolutions have a bias alone."""

    def __init__(self, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"):
        super().__init__(dtype=policy)

        def hidden(number):
            random = keras.initializers.HeNormal(seed + number)
            return {"activation": "relu", "kernel_initializer": random, "dtype": policy}

        self.first = keras.layers.Conv2D(num_hidden, 3, padding="same", **hidden(0))
        self.middle = keras.layers.Dense(num_hidden, **hidden(1))
        self.last = plain_zeros(num_outputs, policy)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs)
        pixels = self.middle(tf.reshape(hidden, [-1, hidden.shape[-1]]))
        return self.last(tf.reshape(pixels, tf.shape(hidden)))


def plain_zeros(num_outputs: int, policy: str = "float32") -> keras.layers.Layer:
    """A 3x3 convolution of zeros, with a bias alone."""
    zeros = {"kernel_initializer": "zeros", "dtype": policy}
    return keras.layers.Conv2D(num_outputs, 3, padding="same", **zeros)


@contextlib.contextmanager
def form(name: str) -> Iterator[None]:
    """Builds Glow in one of `FORMS`."""
    parts, ours = FORMS[name], glow._coupling

    def coupling(kind, network, dtype):
        if "prior" in parts and isinstance(network, networks.ScaledConvolution):
            return couplings.AffineCoupling(network, dtype, log_scale=lambda raw: raw)
        return ours(kind, network, dtype)

    with contextlib.ExitStack() as stack:
        patch = mock.patch.object
        stack.enter_context(patch(glow, "_coupling", coupling))
        if "scale" in parts:
            stack.enter_context(
                patch(couplings, "sigmoid_scale", lambda raw: tf.math.log_sigmoid(raw + 2.0))
            )
        if "plain" in parts:
            stack.enter_context(patch(networks, "CouplingNetwork", PlainNetwork))
            stack.enter_context(patch(networks, "zero_convolution", plain_zeros))
        yield


def train(name: str, seed: int, workdir: pathlib.Path) -> None:
    """Trains one form in this process."""
    flags = ["--config=configs/paper.py:glow,cifar10,small", "--mode=train", f"--workdir={workdir}"]
    flags += ["--config.data.out_of_distribution=noise", "--config.evaluate.num_trajectory=0"]
    with form(name):
        sys.exit(cli.main(["main.py", *flags, f"--config.seed={seed}"]))


def bits(name: str, seed: int, root: pathlib.Path) -> float:
    """Bits/dim of the validation images; trains what is not there."""
    workdir = root / f"{name}_{seed}"
    facts = workdir / "model" / "training.json"
    if not facts.exists():
        command = [sys.executable, "-m", __spec__.name, str(workdir), name, str(seed)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    return json.loads(facts.read_text())["validation_bits_per_dim"]


def step_seconds(names: Iterable[str]) -> dict[str, float]:
    """The time of a training step of forms, in turns."""

    def step(name: str) -> Callable[[], object]:
        with form(name):
            config, model, images = small.on_noise("glow", "cifar10")
            model.compile(optimizer=optimizers.build(config.train))
            function = tf.function(model.train_step, autograph=False)
            batch = {"image": tf.constant(images)}
            function(batch)
        return lambda: function(batch)["bits_per_dim"].numpy()

    return interleaved_seconds({name: step(name) for name in names}, rounds=8, round_seconds=3.0)


def main(root: pathlib.Path, names: list[str]) -> None:
    """Trains, measures and prints."""
    found = {name: {} for name in names}
    for seed, name in itertools.product(SEEDS, names):
        found[name][seed] = round(bits(name, seed, root), 4)
        print(name, seed, found[name][seed], file=sys.stderr, flush=True)
    seconds = step_seconds(dict.fromkeys(["ours", *names]))
    for name, own in found.items():
        own["mean"] = round(float(np.mean(list(own.values()))), 4)
        own["step_over_ours"] = round(seconds[name] / seconds["ours"], 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        train(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[1]))
    devices.share_cores()
    main(pathlib.Path(sys.argv[1]), sys.argv[2].split(",") if len(sys.argv) > 2 else list(FORMS))
