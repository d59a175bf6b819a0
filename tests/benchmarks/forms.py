"""Our models beside other forms of them: python -m tests.benchmarks.forms ROOT [FORM,...]

Trains the small model of CIFAR-10 in each form from each seed, in processes of their own and in
work directories under ROOT (what is finished there stays), and takes steps of all forms in turns.
Prints one JSON object: bits/dim of the validation images after as many steps, and the time of a
step over that of the family as it is.

Glow's published code, https://github.com/openai/glow, differs from ours in two more places: a
coupling scales by sigmoid(raw + 2) (`scale`), and the Gaussian of a split has any scale (`prior`);
`both` has both. Its networks also tell where an image ends. `plain` has networks without the
actnorms and the learned scale of the published ones.

The published RealNVP has a learned scale of its tanh (`learned`) and twice the features at each
level (`growing`); `published` has both. `plain` has networks without norms inside. `longer` is ours
with as many more steps as the published one's time of a step is longer: equal minutes.

The gated PixelCNN has masks between the colours of a pixel in every layer. In `unmasked` a head is
told the colours before instead.
"""

import contextlib
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.benchmarks import small, unmasked_pixel_cnn
from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import cli, devices
from tfp_ood.experiments import experiment
from tfp_ood.keras import keras
from tfp_ood.models.flows import couplings, glow, networks
from tfp_ood.models.pixel_cnn import build as pixel_cnn
from tfp_ood.training import optimizers

ROOT = pathlib.Path(__file__).parents[2]

FORMS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "plain": ("plain",),
    "scale": ("scale",),
    "prior": ("prior",),
    "both": ("scale", "prior"),
    "real_nvp": (),
    "real_nvp_plain": ("plain",),
    "real_nvp_learned": ("learned",),
    "real_nvp_growing": ("growing",),
    "real_nvp_published": ("learned", "growing"),
    "real_nvp_longer": (),
    "pixel_cnn": (),
    "pixel_cnn_unmasked": ("unmasked",),
}
"""What differs from ours; of Glow, or of what the name begins with."""

GATED = {"output": "categorical", "num_layers": 5}
"""Of `config.model`, for PixelCNNs: the paper's number of layers on FashionMNIST."""
GATED_STEPS = 500
"""Of those: a step takes several times as long as one of the others."""

LONGER = 1.3
"""Times as many steps of `real_nvp_longer`: what a step of the published one takes of ours."""

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


class PlainResidual(keras.layers.Layer):
    """A `networks.ResidualNetwork` whose convolutions have a bias alone; what the blocks add starts
    smaller the more there are."""

    def __init__(
        self, num_blocks: int, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"
    ):
        super().__init__(dtype=policy)

        def convolution(number, scale):
            random = keras.initializers.VarianceScaling(scale, seed=seed + number)
            return keras.layers.Conv2D(
                num_hidden, 3, padding="same", kernel_initializer=random, dtype=policy
            )

        self.first = convolution(0, 2.0)
        self.blocks = [
            (convolution(i, 2.0), convolution(i + 1, 2.0 / num_blocks))
            for i in range(1, 2 * num_blocks, 2)
        ]
        self.last = plain_zeros(num_outputs, policy)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs)
        for first, second in self.blocks:
            hidden += second(tf.nn.relu(first(tf.nn.relu(hidden))))
        return self.last(tf.nn.relu(hidden))


class LearnedTanh(tf.Module):
    """A log scale within +-s, by a tanh and a learned s of one number for each coupling."""

    def __init__(self):
        super().__init__()
        self.most = tf.Variable(1.0, name="most")

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        """Log scales of what a network returns."""
        return self.most * tf.tanh(raw)


def plain_zeros(num_outputs: int, policy: str = "float32") -> keras.layers.Layer:
    """A 3x3 convolution of zeros, with a bias alone."""
    zeros = {"kernel_initializer": "zeros", "dtype": policy}
    return keras.layers.Conv2D(num_outputs, 3, padding="same", **zeros)


def family(name: str) -> str:
    """Which model a form is of."""
    return next((kind for kind in ("real_nvp", "pixel_cnn") if name.startswith(kind)), "glow")


def settings(name: str) -> dict[str, Any]:
    """Of `config.model`, what a form has that the small model of its family has not."""
    return GATED if family(name) == "pixel_cnn" else {}


def steps(name: str) -> int:
    """Of a form's training; 0 for those of the small model of its family."""
    if family(name) == "pixel_cnn":
        return GATED_STEPS
    usual = experiment(family(name), "cifar10", "small").train.num_steps
    return round(LONGER * usual) if name.endswith("longer") else 0


@contextlib.contextmanager
def form(name: str) -> Iterator[None]:
    """Builds a model in one of `FORMS`."""
    parts, ours, affine = FORMS[name], glow._coupling, couplings.AffineCoupling
    residual, first_channels = networks.ResidualNetwork, []

    def coupling(kind, network, dtype):
        if isinstance(network, networks.ScaledConvolution):
            return affine(network, dtype, log_scale=lambda raw: raw)
        return ours(kind, network, dtype)

    def growing(num_blocks, num_hidden, num_outputs, *how):
        # Levels follow each other, each with twice the channels of the one before.
        first_channels.append(num_outputs)
        return residual(
            num_blocks, num_hidden * num_outputs // first_channels[0], num_outputs, *how
        )

    def learned(*args, **kwargs):
        return affine(*args, log_scale=LearnedTanh(), **kwargs)

    patches = {
        "scale": [(couplings, "sigmoid_scale", lambda raw: tf.math.log_sigmoid(raw + 2.0))],
        "prior": [(glow, "_coupling", coupling)],
        "plain": [
            (networks, "CouplingNetwork", PlainNetwork),
            (networks, "ResidualNetwork", PlainResidual),
            (networks, "zero_convolution", plain_zeros),
        ],
        "growing": [(networks, "ResidualNetwork", growing)],
        "learned": [(couplings, "AffineCoupling", learned)],
        "unmasked": [(pixel_cnn, "_PARTS", unmasked_pixel_cnn.PARTS)],
    }
    with contextlib.ExitStack() as stack:
        for patch in itertools.chain.from_iterable(patches[part] for part in parts):
            stack.enter_context(mock.patch.object(*patch))
        yield


def train(name: str, seed: int, workdir: pathlib.Path) -> None:
    """Trains one form in this process."""
    flags = [f"--config=configs/paper.py:{family(name)},cifar10,small", f"--workdir={workdir}"]
    flags += ["--config.data.out_of_distribution=noise", "--config.evaluate.num_trajectory=0"]
    flags += [f"--config.model.{key}={value}" for key, value in settings(name).items()]
    num_steps = steps(name)
    if num_steps:
        flags.append(f"--config.train.num_steps={num_steps}")
    with form(name):
        for mode in ("prepare", "train"):
            failed = cli.main(["main.py", *flags, f"--config.seed={seed}", f"--mode={mode}"])
            if failed:
                sys.exit(failed)
    sys.exit()


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
            config, model, images = small.on_noise(family(name), "cifar10", model=settings(name))
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
    as_they_are = {"glow": "ours", "real_nvp": "real_nvp", "pixel_cnn": "pixel_cnn"}
    seconds = step_seconds(dict.fromkeys([*(as_they_are[family(name)] for name in names), *names]))
    for name, own in found.items():
        own["mean"] = round(float(np.mean(list(own.values()))), 4)
        own["step_over_ours"] = round(seconds[name] / seconds[as_they_are[family(name)]], 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        train(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[1]))
    devices.share_cores()
    main(pathlib.Path(sys.argv[1]), sys.argv[2].split(",") if len(sys.argv) > 2 else list(FORMS))
