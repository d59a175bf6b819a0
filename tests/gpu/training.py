"""Training of the paper's Glow of CIFAR-10: does it learn, how fast, in how much memory."""

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.benchmarks import timing
from tests.gpu import fixed, machine
from tests.gpu.table import Row
from tfp_ood import models
from tfp_ood.config import Config, from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.training import optimizers

NUM_STEPS, EPOCH = 200, 50
SMOKE_STEPS, SMOKE_EPOCH = 8, 4
_WARM_STEPS = 2
_NUM_IMAGES = 512
_MATRIX, _SMOKE_MATRIX = 8192, 256
_DTYPES = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16}


def config_of(smoke: bool, precision: str) -> Config:
    """The experiment, with a schedule that gets somewhere in a few hundred steps."""
    config = experiment("glow", "cifar10", "paper")
    config.train.update({"precision": precision, "warmup_steps": 2, "learning_rate": 1e-3})
    if smoke:
        config.data.image_shape = (8, 8, 3)
        config.model.update({"num_levels": 1, "num_steps": 1, "num_hidden": 8})
        config.train.batch_size = 16
    return from_config_dict(config)


def batches(images: np.ndarray, size: int) -> tf.data.Dataset:
    """Endless batches of images in memory."""
    made = (
        tf.data.Dataset.from_tensor_slices({"image": images})
        .repeat()
        .batch(size, drop_remainder=True)
    )
    return made.prefetch(tf.data.AUTOTUNE)


def flops_of_step(model: models.LikelihoodModel, size: int) -> float:
    """Floating-point operations of a training step on that many images."""

    def gradients(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model._training_log_prob(images, None, tf.stack([0, 1])))
        return tape.gradient(loss, model.trainable_variables)

    spec = tf.TensorSpec([size, *model.image_shape], tf.uint8)
    return timing.graph_flops(tf.function(gradients).get_concrete_function(spec).graph)


def learned(part: str, bits: list[float]) -> Row:
    """A row on bits/dim of epochs: numbers, and fewer of them in the end."""
    ok = bool(np.isfinite(bits).all() and bits[-1] < bits[0])
    found = " to ".join(f"{value:.3f}" for value in (bits[0], bits[-1]))
    return Row(part, "bits/dim of the first and the last epoch", found, "fewer in the end", ok)


def where(part: str, model: models.LikelihoodModel) -> Row:
    """A row on the device that holds the weights."""
    kinds = {variable.device.rpartition(":")[0][-3:] for variable in model.trainable_variables}
    kind = machine.kind()
    return Row(part, "device of the weights", " and ".join(sorted(kinds)), kind, kinds == {kind})


def prepare(smoke: bool, xla: bool, precision: str) -> Callable[[], list[Row]]:
    """See `parts`.

    Args:
      smoke: whether sizes are tiny.
      xla: whether XLA compiles the step.
      precision: of the networks.
    """
    part = f"train {'xla ' if xla else ''}{precision.removeprefix('mixed_')}"
    config = config_of(smoke, precision)
    size = config.train.batch_size
    steps, epoch = (SMOKE_STEPS, SMOKE_EPOCH) if smoke else (NUM_STEPS, EPOCH)
    images = fixed.images(_NUM_IMAGES, config.data.image_shape)
    model = models.build(config)
    model.initialize(images)
    model.compile(optimizer=optimizers.build(config.train), jit_compile=xla)
    flops = flops_of_step(model, size)
    data = batches(images, size)
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=_WARM_STEPS, epochs=1, verbose=0)
    first_seconds = time.perf_counter() - start

    def run() -> list[Row]:
        peak = machine.peak_flops(_DTYPES[precision], _SMOKE_MATRIX if smoke else _MATRIX)
        machine.forget_peak_memory()
        begun = time.perf_counter()
        history = model.fit(data, steps_per_epoch=epoch, epochs=steps // epoch, verbose=0).history
        seconds = time.perf_counter() - begun
        speed = steps / seconds
        return [
            where(part, model),
            learned(part, history["bits_per_dim"]),
            Row(part, f"images/s, batch {size}, {steps} steps", f"{speed * size:,.0f}"),
            Row(part, "TFLOP/s of the step", f"{speed * flops / 1e12:.3g}"),
            Row(part, "TFLOP/s of matrix products", f"{peak / 1e12:.3g}"),
            Row(part, "share of matrix products' speed", f"{speed * flops / peak:.1%}"),
            Row(part, "most memory", f"{machine.peak_memory_mib():,.0f} MiB"),
            Row(part, f"tracing and first {_WARM_STEPS} steps", f"{first_seconds:.0f} s"),
        ]

    return run
