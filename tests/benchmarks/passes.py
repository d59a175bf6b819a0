"""What gradients of single images cost: python -m tests.benchmarks.passes [FAMILY]

Of the small model of each family, on noise: the time of `gradient_statistics`, by which
`evaluate.gradients` scores, over that of a training gradient of as many images, in turns; at most
2.5 is the bar. Prints one JSON object.
"""

import json
import sys
from collections.abc import Callable

import tensorflow as tf

from tests.benchmarks import small
from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import devices
from tfp_ood.families import MODEL_CONFIGS
from tfp_ood.training import optimizers

BATCH = 64
PAIRS = ("fashion_mnist", "cifar10")


def rivals(family: str, pair: str) -> dict[str, Callable[[], object]]:
    """Both gradients, of the same images."""
    config, model, images = small.on_noise(family, pair, BATCH)
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
    main(tuple(sys.argv[1:]) or tuple(MODEL_CONFIGS))
