"""Memory that a training takes at its start: python -m tests.benchmarks.memory [FAMILY,PAIR]

Initialisation and the first ten steps of an experiment at the paper's size, on noise of the pair's
shape; by default the largest, `pixel_cnn,cifar10`, in batches of 32. Prints one JSON object:
`initialized_mib` and `peak_mib`, the most memory that the process has had by then, and seconds.
"""

import json
import resource
import sys
import time

import numpy as np
import tensorflow as tf

from tfp_ood import devices, experiments, models
from tfp_ood.config import from_config_dict
from tfp_ood.training import optimizers

NUM_STEPS = 10
NUM_IMAGES = 512
"""What a training is initialised with."""


def peak_mib() -> int:
    """The most memory that this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(words: str = "pixel_cnn,cifar10") -> None:
    """Measures an experiment and prints."""
    devices.share_cores()
    config = from_config_dict(experiments.experiment(*words.split(","), "paper"))
    shape, size = config.data.image_shape, config.train.batch_size
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *shape)).astype(np.uint8)
    model, start = models.build(config), time.monotonic()
    model.initialize(images)
    initialized, seconds = peak_mib(), [time.monotonic() - start]
    model.compile(optimizer=optimizers.build(config.train))
    batches = tf.data.Dataset.from_tensor_slices({"image": images}).batch(size).repeat()
    model.fit(batches, steps_per_epoch=NUM_STEPS, epochs=1, verbose=0)
    seconds.append(time.monotonic() - start)
    found = {
        "experiment": words,
        "batch_size": size,
        "initialized_mib": initialized,
        "peak_mib": peak_mib(),
        "initialize_seconds": round(seconds[0]),
        "steps_seconds": round(seconds[1] - seconds[0]),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
