"""Two logical devices under `mirrored` compute what one does.

With a PixelCNN, whose training step draws no noise, and plain gradient descent: equal to rounding.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.gpu import fixed, machine
from tests.gpu.table import Row, at_most
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, PixelCNNConfig, TrainConfig
from tfp_ood.data.pipeline import Shard
from tfp_ood.keras import keras
from tfp_ood.training import strategy

PART = "mirrored"
MEMORY_MIB = 3072
"""Of each of two logical GPUs."""
SCORE_LIMIT = 1e-5
"""Relative difference of log_prob."""
WEIGHT_LIMIT = 1e-3
"""Difference of trained weights, as a share of how far training has moved them."""
_NUM_STEPS, _LEARNING_RATE = 3, 0.01
_NUM_SCORED = 7  # which two do not divide

CONFIG = Config(
    data=DataConfig(image_shape=fixed.SHAPE),
    model=PixelCNNConfig(**fixed.MODELS["pixel_cnn"][1]),
    train=TrainConfig(batch_size=fixed.NUM_IMAGES, strategy="mirrored"),
)


def divide_device() -> None:
    """Makes two logical devices of the first one; before TensorFlow starts."""
    gpus = tf.config.list_physical_devices("GPU")
    device = gpus[0] if gpus else tf.config.list_physical_devices("CPU")[0]
    limit = {"memory_limit": MEMORY_MIB} if gpus else {}
    two = [tf.config.LogicalDeviceConfiguration(**limit) for _ in range(2)]
    tf.config.set_logical_device_configuration(device, two)
    tf.config.set_visible_devices(gpus[:1], "GPU")


def trained(
    on: tf.distribute.Strategy, shard_of: Callable[[np.ndarray, Shard], np.ndarray]
) -> models.LikelihoodModel:
    """The fixed model after a few steps of plain gradient descent.

    Args:
      on: the devices.
      shard_of: the images, in the order in which they are computed.
    """
    with on.scope():
        model = fixed.model("pixel_cnn")
        model.compile(optimizer=keras.optimizers.SGD(_LEARNING_RATE, jit_compile=False))

        def dataset_of(shard: Shard) -> tf.data.Dataset:
            images = shard_of(fixed.images(), shard)
            made = tf.data.Dataset.from_tensor_slices({"image": images}).repeat()
            return made.batch(fixed.NUM_IMAGES // shard.num_replicas, drop_remainder=True)

        data = strategy.distribute(on, dataset_of)
        model.fit(data, steps_per_epoch=_NUM_STEPS, epochs=1, verbose=0)
    return model


def whole(images: np.ndarray, shard: Shard) -> np.ndarray:
    """All images: the replicas of a process take its batches in turns."""
    return images


def moved_apart(one: models.LikelihoodModel, two: models.LikelihoodModel) -> float:
    """The largest difference between trained weights, over the largest way that one went."""
    start = fixed.model("pixel_cnn")
    pairs = zip(
        one.trainable_variables, two.trainable_variables, start.trainable_variables, strict=True
    )
    differ, way = 0.0, 0.0
    for a, b, before in pairs:
        differ = max(differ, float(np.max(np.abs(a.numpy() - b.numpy()))))
        way = max(way, float(np.max(np.abs(a.numpy() - before.numpy()))))
    return differ / way if way > 0 else float("inf")


def scores_apart(model: models.LikelihoodModel, on: tf.distribute.Strategy) -> float:
    """The largest relative difference of log_prob, computed whole and spread over devices."""
    score = model.scoring_function()
    images = fixed.images(_NUM_SCORED, seed=1)
    alone = score(tf.constant(images))["log_prob"].numpy()
    spread = strategy.spread(on, score)(images)["log_prob"].numpy()
    if spread.shape != alone.shape:
        return float("inf")
    return float(np.max(np.abs(spread / alone - 1.0)))


def prepare(smoke: bool) -> Callable[[], list[Row]]:
    """See `parts`."""
    two = strategy.connect(CONFIG)
    count = two.num_replicas_in_sync
    rows = [Row(PART, f"logical {machine.kind()}s", str(count), "2", count == 2)]
    single = dataclasses.replace(CONFIG.train, strategy="single")
    one = strategy.connect(dataclasses.replace(CONFIG, train=single))
    alone, together = trained(one, whole), trained(two, whole)
    apart = moved_apart(alone, together)
    rows.append(at_most(PART, "trained weights, share of their way", apart, WEIGHT_LIMIT))
    with two.scope():
        mirrored = fixed.model("pixel_cnn")
    apart = scores_apart(mirrored, two)
    rows.append(at_most(PART, "log_prob, relative", apart, SCORE_LIMIT))
    return lambda: rows
