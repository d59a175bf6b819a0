"""The exported log_prob and guard against the model's own: `python -m tests.benchmarks.export`.

Prints JSON. The quickstart's Glow on 28x28x1 with its initial weights, 250 uint8 images at a time,
blobs on black.
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
from tests.guards import columns_of, guard_of
from tfp_ood import models
from tfp_ood.config import Config
from tfp_ood.export import saved_model

CONFIG = Config()  # whose Glow is the quickstart's
BATCH = CONFIG.scoring_batch_size
NUM_HELD_OUT = CONFIG.data.num_validation
_ELSEWHERE = "_default_threads"


def random_images(count: int = BATCH, seed: int = 0) -> tf.Tensor:
    """Blobs with some noise on black, uint8."""
    rng, (height, width, channels) = np.random.default_rng(seed), CONFIG.data.image_shape
    coarse = rng.uniform(-200, 255, (count, 7, 7, channels))
    smooth = tf.image.resize(coarse, (height, width), "bicubic").numpy()
    noisy = smooth + rng.normal(0, 8, smooth.shape)
    return tf.constant(np.where(smooth > 0, np.clip(noisy, 0, 255), 0).astype(np.uint8))


def our_model() -> models.LikelihoodModel:
    """The model of the product."""
    model = models.build(CONFIG)
    model.initialize(random_images())
    return model


def export(path: pathlib.Path) -> None:
    """The same model as a SavedModel, with a guard of all detectors that it can compute."""
    model = our_model()
    held_out = columns_of(model, random_images(NUM_HELD_OUT, seed=1))
    saved_model.write(path, model, 1, guard_of(held_out, 0.05))


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
            functools.partial(loaded_functions, path, _ELSEWHERE),
        )
    result = {
        "image_shape": CONFIG.data.image_shape,
        "batch": BATCH,
        "images_per_second": {name: round(BATCH / value, 1) for name, value in seconds.items()},
        "ratios_to_own": {
            name: round(seconds["own"] / value, 3)
            for name, value in seconds.items()
            if name != "own"
        },
        "guard_to_exported_log_prob": {
            ending or "same_process": round(
                seconds[f"exported{ending}"] / seconds[f"guard{ending}"], 3
            )
            for ending in ("", _ELSEWHERE)
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
