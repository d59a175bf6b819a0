"""What gradients of single images cost: python -m tests.benchmarks.passes [FAMILY]

Of the small model of each family, on noise: the time of `gradient_statistics`, by which
`evaluate.gradients` scores, over that of a training gradient of as many images, in turns; at most
2.5 is the bar. Prints one JSON object.
"""

import json
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import devices, models
from tfp_ood.config import from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.training import optimizers

BATCH = 64
FAMILIES = ("glow", "real_nvp", "pixel_cnn", "vae")
PAIRS = ("fashion_mnist", "cifar10")


def rivals(family: str, pair: str) -> dict[str, Callable[[], object]]:
    """Both gradients, of the same images."""
    config = from_config_dict(experiment(family, pair, "small"))
    shape = config.data.image_shape
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *shape)).astype(np.uint8)
    model = models.build(config)
    model.initialize(images)
    model.compile(optimizer=optimizers.build(config.train))
    seed, batch = tf.constant([0, 1]), {"image": tf.constant(images)}
    training = tf.function(lambda: model._bits_and_gradients(batch, seed)[1], autograph=False)
    return {
        "training gradient": lambda: [g.numpy() for g in training()],
        "of each image": lambda: [v.numpy() for v in model.gradient_statistics(images).values()],
    }


def main(families: tuple[str, ...]) -> None:
    """Measures and prints."""
    found = {}
    for family in families:
        for pair in PAIRS:
            seconds = interleaved_seconds(rivals(family, pair), rounds=8, round_seconds=1.0)
            plain, each = seconds.values()
            found[f"{family}, {pair}"] = {
                **{name: round(value, 4) for name, value in seconds.items()},
                "ratio": round(each / plain, 2),
            }
            print(family, pair, found[f"{family}, {pair}"], file=sys.stderr, flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    devices.share_cores()
    main(tuple(sys.argv[1:]) or FAMILIES)
