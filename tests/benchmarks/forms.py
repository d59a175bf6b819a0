"""Our Glow beside the form that was published: python -m tests.benchmarks.forms ROOT [FORM,...]

Trains the small Glow of CIFAR-10 in each form from each seed, in processes of their own and in work
directories under ROOT (what is finished there stays), and takes steps of all forms in turns. Prints
one JSON object: bits/dim of the validation images after as many steps, and the time of a step over
that of ours.

The published form is that of https://github.com/openai/glow: a coupling scales by sigmoid(raw + 2)
(`scale`); the Gaussian of a split has any scale (`prior`); the convolutions of a coupling network
have an actnorm in the place of a bias, set from the first images, and what the last one returns is
scaled by exp(3 v) (`networks`). Its edges, which tell the network where an image ends, and its
initial weights of the 1x1 convolutions are left out.
"""

import contextlib
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import cli, devices, models
from tfp_ood.config import from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.keras import keras
from tfp_ood.models.flows import couplings, glow, networks
from tfp_ood.training import optimizers

ROOT = pathlib.Path(__file__).parents[2]

FORMS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "networks": ("networks",),
    "scale": ("scale",),
    "prior": ("prior",),
    "published": ("scale", "prior", "networks"),
}
SEEDS = (0, 1, 2)
_FACTOR = 3.0  # of the logarithms of scales, which then are learned as much faster


class Network(networks.CouplingNetwork):
    """A coupling network with actnorms, and a learned scale of what it returns."""

    def __init__(self, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"):
        super().__init__(num_hidden, num_outputs, seed, policy)

        def plain(number):
            initializer = keras.initializers.RandomNormal(0.0, 0.05, seed + number)
            return {"use_bias": False, "kernel_initializer": initializer, "dtype": policy}

        self.first = keras.layers.Conv2D(num_hidden, 3, padding="same", **plain(0))
        self.middle = keras.layers.Dense(num_hidden, **plain(1))
        self.biases = [tf.Variable(tf.zeros([num_hidden]), name=f"bias_{i}") for i in range(2)]
        self.scales = [tf.Variable(tf.zeros([num_hidden]), name=f"scale_{i}") for i in range(2)]
        self.last_scale = tf.Variable(tf.zeros([num_outputs]), name="last_scale")

    def call(self, inputs: tf.Tensor, fits: bool = False) -> tf.Tensor:
        """As the network it is in the place of; `fits` sets the actnorms from the inputs."""
        hidden = self._normed(0, self.first(inputs), fits)
        pixels = self._normed(1, self.middle(tf.reshape(hidden, [-1, hidden.shape[-1]])), fits)
        return self.last(tf.reshape(pixels, tf.shape(hidden))) * tf.exp(_FACTOR * self.last_scale)

    def _normed(self, number, x, fits):
        bias, scale = self.biases[number], self.scales[number]
        if fits:
            mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            bias.assign(-mean)
            scale.assign(-0.5 * tf.math.log(variance + 1e-6) / _FACTOR)
        return tf.nn.relu((x + bias) * tf.exp(_FACTOR * scale))


class Coupling(couplings.AffineCoupling):
    """An affine coupling whose network is set from the first images."""

    def initialize(self, x: tf.Tensor) -> None:
        """Sets the network's actnorms from images `[B, H, W, C]`."""
        if isinstance(self.network, Network):
            self.network(tf.split(x, 2, axis=-1)[0], fits=True)


@contextlib.contextmanager
def form(name: str) -> Iterator[None]:
    """Builds Glow in one of `FORMS`."""
    parts, ours = FORMS[name], glow._coupling

    def coupling(kind, network, dtype):
        if "prior" in parts and not isinstance(network, networks.CouplingNetwork):
            return couplings.AffineCoupling(network, dtype, log_scale=lambda raw: raw)
        return ours(kind, network, dtype)

    with contextlib.ExitStack() as stack:
        patch = mock.patch.object
        stack.enter_context(patch(glow, "_coupling", coupling))
        if "scale" in parts:
            stack.enter_context(
                patch(couplings, "sigmoid_scale", lambda raw: tf.math.log_sigmoid(raw + 2.0))
            )
        if "networks" in parts:
            stack.enter_context(patch(networks, "CouplingNetwork", Network))
            stack.enter_context(patch(couplings, "AffineCoupling", Coupling))
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


def step_seconds() -> dict[str, float]:
    """The time of a training step of each form, in turns."""
    config = from_config_dict(experiment("glow", "cifar10", "small"))
    shape, size = config.data.image_shape, config.train.batch_size
    images = np.random.default_rng(0).integers(0, 256, (size, *shape)).astype(np.uint8)

    def step(name: str) -> Callable[[], object]:
        with form(name):
            model = models.build(config)
            model.initialize(images)
            model.compile(optimizer=optimizers.build(config.train))
            function = tf.function(model.train_step, autograph=False)
            batch = {"image": tf.constant(images)}
            function(batch)
        return lambda: function(batch)["bits_per_dim"].numpy()

    return interleaved_seconds({name: step(name) for name in FORMS}, rounds=8, round_seconds=3.0)


def main(root: pathlib.Path, names: list[str]) -> None:
    """Trains, measures and prints."""
    found = {name: {} for name in names}
    for seed, name in itertools.product(SEEDS, names):
        found[name][seed] = round(bits(name, seed, root), 4)
        print(name, seed, found[name][seed], file=sys.stderr, flush=True)
    seconds = step_seconds()
    for name, own in found.items():
        own["mean"] = round(float(np.mean(list(own.values()))), 4)
        own["step_over_ours"] = round(seconds[name] / seconds["ours"], 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        train(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[1]))
    devices.share_cores()
    main(pathlib.Path(sys.argv[1]), sys.argv[2].split(",") if len(sys.argv) > 2 else list(FORMS))
