"""The exported log_prob and guard against the model's own: `python -m tests.benchmarks.export`.

Prints JSON. The quickstart's Glow on 28x28x1 with its initial weights, 250 uint8 images at a time.
The model's own log_prob and the loaded ones run in turns in one process, with the share of cores
that the command line sets; the loaded one runs in a second process too, as in a program that knows
nothing of `devices.share_cores`. Give the machine nothing else to do.
"""

import functools
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.benchmarks import timing
from tests.guards import likelihood_guard
from tfp_ood import models
from tfp_ood.config import Config
from tfp_ood.export import saved_model

CONFIG = Config()  # whose Glow is the quickstart's
BATCH = CONFIG.evaluate.batch_size
NUM_HELD_OUT = CONFIG.data.num_validation


def random_images() -> tf.Tensor:
    """A batch, uint8."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *CONFIG.data.image_shape))
    return tf.constant(pixels, tf.uint8)


def our_model() -> models.LikelihoodModel:
    """The model of the product."""
    model = models.build(CONFIG)
    model.initialize(random_images())
    return model


def export(path: pathlib.Path) -> None:
    """The same model as a SavedModel."""
    held_out = np.linspace(-6000.0, -2000.0, NUM_HELD_OUT)
    saved_model.write(path, our_model(), 1, likelihood_guard(held_out, 0.05))


def loaded_functions(path: pathlib.Path, ending: str = "") -> dict[str, Callable]:
    """log_prob and guard of the exported model."""
    loaded, images = tf.saved_model.load(str(path)), random_images()
    log_prob, verdict = loaded.signatures["log_prob"], loaded.signatures["guard"]
    return {
        # Signatures hold their variables weakly.
        f"exported{ending}": lambda _=loaded: log_prob(images=images)["log_prob"].numpy(),
        f"guard{ending}": lambda: verdict(images=images)["is_out_of_distribution"].numpy(),
    }


def all_functions(path: pathlib.Path) -> dict[str, Callable]:
    """The model's own log_prob and the exported ones."""
    model, images = our_model(), random_images()
    return {"own": lambda: model.log_prob(images).numpy(), **loaded_functions(path)}


def main() -> None:
    """Prints images/s of each, and their ratios to the model's own, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model"
        print("exporting ...", file=sys.stderr)
        export(path)
        seconds = timing.rival_seconds(
            functools.partial(all_functions, path),
            functools.partial(loaded_functions, path, "_default_threads"),
        )
    result = {
        "image_shape": CONFIG.data.image_shape,
        "batch": BATCH,
        "images_per_second": {name: round(BATCH / value, 1) for name, value in seconds.items()},
        "ratios": {
            name: round(seconds["own"] / value, 3)
            for name, value in seconds.items()
            if name != "own"
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
