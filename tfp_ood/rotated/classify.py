"""Training of the networks of the rotated digits: a Keras `fit` each, saved when it is done."""

import math
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic
from tfp_ood.data import manifest, pipeline
from tfp_ood.errors import DataError, TrainingError
from tfp_ood.keras import keras
from tfp_ood.rotated import predictions
from tfp_ood.rotated.config import NUM_CLASSES, VARIANTS, RotatedConfig
from tfp_ood.rotated.images import load_images, version_of
from tfp_ood.rotated.lenet import BAYESIAN, LeNet
from tfp_ood.training import fused
from tfp_ood.training.weights import read_facts, read_weights, write_weights
from tfp_ood.workdir import WorkDir, weights_id

_WEIGHTS = "weights"
_FACTS = "training.json"

Network = tuple[str, int]
"""Kind of network, of `lenet.KINDS`, and its number among those."""


def networks(variant: str, config: RotatedConfig) -> list[Network]:
    """The networks that a variant predicts with; the ensemble's first is the plain softmax one."""
    if variant == "ensemble":
        return [("softmax", number) for number in range(config.model.ensemble_size)]
    return [(variant, 0)]


def training_facts(network: Network, workdir: WorkDir) -> dict[str, Any]:
    """What is known of a trained network: num_parameters, num_epochs, seconds, accuracy.

    Raises:
      TrainingError: its training has not ended here, or its record is damaged.
    """
    path = _folder(network, workdir) / _FACTS
    if not path.exists():
        raise TrainingError(f"{path.parent} holds no trained network; run --mode=train first.")
    return read_facts(path)


def train(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    """Trains all networks of the config's variants that are not there yet.

    Args:
      config: what to train.
      workdir: where to.
      data_dir: of TFDS.

    Raises:
      DataError: the images, or those to be judged, are not there, do not fit, have no digits as
        labels or are too few.
      TrainingError: a loss is not a number any more.
      UserError: `workdir` belongs to another config or cannot be written.
    """
    wanted = [network for variant in config.model.variants for network in networks(variant, config)]
    missing = [n for n in dict.fromkeys(wanted) if not (_folder(n, workdir) / _FACTS).exists()]
    if not missing:
        return
    name = config.data.in_distribution
    splits = [
        pipeline.open_split(name, role, config.data, data_dir) for role in ("train", "validation")
    ]
    images, validation = map(_load_labelled, splits)
    # What cannot be judged afterwards must be known before training.
    load_images(config, pipeline.open_sets(config.data, data_dir))
    workdir.claim(config, version_of(splits[0]))
    manifest.write_waiting()
    _forget(missing, config, workdir)
    for count, network in enumerate(missing, start=1):
        print(f"training network {count} of {len(missing)}: {network[0]} {network[1]}")
        _train_one(network, config, workdir, images, validation)


def _forget(missing: Sequence[Network], config: RotatedConfig, workdir: WorkDir) -> None:
    """Removes what earlier trainings of networks left, and the page that shows it."""
    workdir.forget_training()
    for variant in VARIANTS:
        if set(networks(variant, config)) & set(missing):
            for path in predictions.paths(workdir.root, variant):
                path.unlink(missing_ok=True)


def load_trained(network: Network, config: RotatedConfig, workdir: WorkDir) -> LeNet:
    """A network that `train` left in the work directory.

    Raises:
      UserError: it was trained with another config.
      TrainingError: there is none, or its files are damaged.
    """
    workdir.check(config)
    facts = training_facts(network, workdir)
    model = LeNet(network[0], config.model, config.data.image_shape, facts["num_examples"])
    read_weights(model, _folder(network, workdir) / _WEIGHTS)
    return model


def weights(networks: Sequence[Network], workdir: WorkDir) -> dict[str, str | None]:
    """`weights_id` of each trained network, by the name of its folder in `workdir.model`."""
    folders = [_folder(network, workdir) for network in networks]
    return {folder.name: weights_id(folder) for folder in folders}


def _folder(network: Network, workdir: WorkDir) -> pathlib.Path:
    kind, number = network
    return workdir.model / f"{kind}_{number}"


def _load_labelled(split: pipeline.Split) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a set of ten classes."""
    images, labels = pipeline.load(split)
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise DataError(
            f"{split.name}: labels are from {labels.min()} to {labels.max()} (-1 is none); "
            f"valid are sets labelled from 0 to {NUM_CLASSES - 1}, such as mnist."
        )
    return images, labels


def _train_one(
    network: Network,
    config: RotatedConfig,
    workdir: WorkDir,
    images: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
) -> None:
    kind, number = network
    settings, num_examples = config.train, len(images[1])
    num_epochs = settings.num_epochs_bayesian if kind in BAYESIAN else settings.num_epochs
    num_steps = num_epochs * math.ceil(num_examples / settings.batch_size)
    warmup_steps = max(1.0, settings.kl_warmup * num_steps)
    # Of initial weights, the order of images, and all draws.
    keras.utils.set_random_seed(config.seed + number)
    model = LeNet(kind, config.model, config.data.image_shape, num_examples)
    model.compile(
        fused.Adam(settings.learning_rate, jit_compile=False),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def warm_up(batch: int, logs: dict[str, Any] | None) -> None:
        """Raises the weight of the KL linearly to 1."""
        model.kl_weight.assign(min(1.0, (int(model.optimizer.iterations) + 1) / warmup_steps))

    start = time.monotonic()
    history = model.fit(
        *images,
        batch_size=settings.batch_size,
        epochs=num_epochs,
        validation_data=validation,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LambdaCallback(on_batch_begin=warm_up),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    if not np.all(np.isfinite(history["loss"])):
        raise TrainingError(
            f"The loss of {kind} {number} is not a number any more. Try, in a new --workdir, "
            "a lower config.train.learning_rate."
        )
    facts = {
        "num_parameters": model.num_parameters(),
        "num_examples": num_examples,
        "num_epochs": num_epochs,
        "seconds": round(time.monotonic() - start, 1),
        "validation_accuracy": round(history["val_accuracy"][-1], 4),
    }
    with atomic.replacing_folder(_folder(network, workdir)) as folder:
        write_weights(model, folder / _WEIGHTS)
        atomic.write_json(folder / _FACTS, facts)
