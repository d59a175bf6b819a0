"""Our PixelCNN++ against `tfd.PixelCNN`: `python -m tests.benchmarks.pixel_cnn` prints JSON.

28x28x1, one gated residual layer at each of two resolutions, 32 filters, 5 logistics; the numbers
of layers are equal, and ours has fewer weights because it has none that are masked. Training is a
whole optimizer step of Adam. `tfd.PixelCNN` is run both in a `tf.function` and eagerly, never with
XLA, under which its training is a hundred times slower on CPUs. Ours and stock run in turns in two
processes, each with the threads that suit it; then each draws images in this one. Takes about six
minutes, most of it in `tfd.PixelCNN.sample`. Give the machine nothing else to do.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tests.benchmarks.glow import training_step
from tfp_ood import models, units
from tfp_ood.config import Config, DataConfig, PixelCNNConfig
from tfp_ood.keras import keras
from tfp_ood.models.pixel_cnn.build import PixelCNN

tfd = tfp.distributions

SHAPE, BATCH, NUM_SAMPLES = (28, 28, 1), 32, 16
SIZES = PixelCNNConfig(num_hierarchies=2, num_layers=1, num_filters=32, num_mixtures=5)


def our_model() -> PixelCNN:
    """The model of the product, ready for training."""
    model = models.build(Config(data=DataConfig(image_shape=SHAPE), model=SIZES))
    model.initialize(random_images())
    return model


def stock_model() -> tfd.PixelCNN:
    """The same of TFP, initialised by its first batch."""
    model = tfd.PixelCNN(
        SHAPE,
        num_resnet=SIZES.num_layers,
        num_hierarchies=SIZES.num_hierarchies,
        num_filters=SIZES.num_filters,
        num_logistic_mix=SIZES.num_mixtures,
        dropout_p=SIZES.dropout,
    )
    model.log_prob(tf.cast(random_images(), tf.float32))
    return model


def random_images() -> tf.Tensor:
    """A batch, uint8."""
    pixels = np.random.default_rng(0).integers(0, units.NUM_PIXEL_VALUES, (BATCH, *SHAPE))
    return tf.constant(pixels, tf.uint8)


def our_functions() -> dict[str, Callable]:
    """Training step and log_prob as the product runs them."""
    images, model = random_images(), our_model()
    return {
        "train_ours": training_step(model, images, xla=False),
        "log_prob_ours": lambda: model.log_prob(images).numpy(),
    }


def stock_functions() -> dict[str, Callable]:
    """The same of `tfd.PixelCNN`, in graphs and eagerly."""
    images, model = tf.cast(random_images(), tf.float32), stock_model()
    variables = model.network.trainable_variables
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)

    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(model.log_prob(images, training=True))
        optimizer.minimize(loss, variables, tape=tape)
        return loss

    def log_prob():
        return model.log_prob(images, training=False)

    functions = {"train": step, "log_prob": log_prob}
    graphs = {name: tf.function(f, autograph=False) for name, f in functions.items()}
    return {
        **{f"{name}_stock": _numbers(f) for name, f in graphs.items()},
        **{f"{name}_stock_eager": _numbers(f) for name, f in functions.items()},
    }


def _numbers(function):
    return lambda: function().numpy()


def sampling_seconds() -> dict[str, float]:
    """Seconds for one image; stock once: in a graph, traced before, and one image eagerly."""
    ours, stock = our_model(), stock_model()
    stock_sample = tf.function(lambda: stock.sample(NUM_SAMPLES), autograph=False)
    stock_sample.get_concrete_function()
    ours.sample(NUM_SAMPLES)
    return {
        "sample_ours": _seconds(lambda: ours.sample(NUM_SAMPLES), 5) / NUM_SAMPLES,
        "sample_stock": _seconds(stock_sample, 1) / NUM_SAMPLES,
        "sample_stock_eager_of_1_image": _seconds(lambda: stock.sample(1), 1),
    }


def _seconds(function: Callable[[], tf.Tensor], calls: int) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function().numpy()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Prints the comparison as JSON."""
    print("training and log_prob ...", file=sys.stderr)
    seconds = timing.rival_seconds(our_functions, stock_functions)
    speed = {name: BATCH / s for name, s in seconds.items()}
    print("samples (some minutes) ...", file=sys.stderr)
    speed |= {name: 1.0 / s for name, s in sampling_seconds().items()}
    stock = stock_model().network.trainable_variables
    result = {
        "image_shape": SHAPE,
        "batch": BATCH,
        "images_per_sample": NUM_SAMPLES,
        "baseline": "tfd.PixelCNN",
        "num_parameters": {
            "ours": our_model().num_parameters(),
            "stock": sum(v.shape.num_elements() for v in stock),
        },
        "images_per_second": {name: float(f"{value:.4g}") for name, value in speed.items()},
        **{
            f"{task}_ratio": round(speed[f"{task}_ours"] / speed[f"{task}_stock"], 2)
            for task in ("train", "log_prob", "sample")
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
