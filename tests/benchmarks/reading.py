"""How fast sets are read: python -m tests.benchmarks.reading [DATA_DIR]

Images/s of one pass over the test images of prepared sets, decoded, in batches of 250, in the order
of their files, against TFDS' own `as_dataset(batch_size=250)`; and, without a peer, of an array
file of as many images. Then batches of 64 of an endless training, from memory, once a set is there
(`pipeline.hold`), and from the disk. In turns, in one process. Prints one JSON object.
"""

import itertools
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.benchmarks.turns import interleaved_seconds
from tfp_ood import devices
from tfp_ood.config import DataConfig
from tfp_ood.data import pipeline, specs

_SETS, _BATCH, _IN_ARRAY = ("fashion_mnist", "cifar10"), 250, 10_000
_TRAINED_ON, _OF_TRAINING = 64, 300
"""Images of a batch, and batches that are read of an endless stream."""


def one_pass(batches: tf.data.Dataset) -> Callable[[], int]:
    """A function that reads all batches and counts them."""
    return lambda: sum(1 for _ in batches)


def ours(name: str, shape: specs.Shape, data_dir: str | None) -> Callable[[], int]:
    """As the product reads a set to score it."""
    split = pipeline.open_split(name, "out", DataConfig(image_shape=shape), data_dir)
    return one_pass(pipeline.scoring_batches(split, _BATCH))


def tfds_own(spec: specs.DatasetSpec, data_dir: str | None) -> Callable[[], int]:
    """As TFDS' documentation reads a set."""
    builder = tfds.builder(spec.tfds_name, data_dir=data_dir)
    config = tfds.ReadConfig(try_autocache=False)
    batches = builder.as_dataset(split=spec.test_split, batch_size=_BATCH, read_config=config)
    return one_pass(batches.prefetch(tf.data.AUTOTUNE))


def trained_on(source: pipeline.Split | pipeline.Held) -> Callable[[], int]:
    """As the product reads a set to train on it, from where it is."""
    batches = iter(pipeline.training_stream(source, _TRAINED_ON, seed=0))
    return lambda: sum(1 for _ in itertools.islice(batches, _OF_TRAINING))


def of_training(name: str, shape: specs.Shape, data_dir: str | None) -> dict[str, float]:
    """Images/s from memory and from the disk, and their ratio."""
    split = pipeline.open_split(name, "train", DataConfig(image_shape=shape), data_dir)
    rivals = {"memory": trained_on(pipeline.hold(split)), "disk": trained_on(split)}
    seconds = interleaved_seconds(rivals, rounds=7)
    found = {key: round(_TRAINED_ON * _OF_TRAINING / value) for key, value in seconds.items()}
    return {**found, "ratio": round(seconds["disk"] / seconds["memory"], 1)}


def main(data_dir: str | None = None) -> None:
    """Measures all and prints."""
    devices.share_cores()
    found = {}
    for name in _SETS:
        spec = specs.SPECS[name]
        rivals = {"ours": ours(name, spec.native_shape, data_dir), "tfds": tfds_own(spec, data_dir)}
        seconds = interleaved_seconds(rivals, rounds=7)
        found[name] = {key: round(spec.num_test / value) for key, value in seconds.items()}
        found[name]["ratio"] = round(seconds["tfds"] / seconds["ours"], 2)
        found[f"{name}, training"] = of_training(name, spec.native_shape, data_dir)
    with tempfile.TemporaryDirectory() as folder:
        path, shape = pathlib.Path(folder) / "images.npy", (32, 32, 3)
        pixels = np.random.default_rng(0).integers(0, 256, (_IN_ARRAY, *shape), np.uint8)
        np.save(path, pixels)
        seconds = interleaved_seconds({"ours": ours(f"array:{path}", shape, None)}, rounds=7)
        found["array"] = {"ours": round(_IN_ARRAY / seconds["ours"])}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
