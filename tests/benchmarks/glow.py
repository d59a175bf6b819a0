"""Our Glow against `tfb.Glow` of equal size: `python -m tests.benchmarks.glow` prints JSON.

32x32x3, 3 levels of 4 steps, batch 32, each with and without XLA. Training is a whole optimizer
step of Adam; log_prob is of uint8 images, with dequantization. Ours and stock run in turns in two
processes, each with the threads that suit it. Give the machine nothing else to do.
"""

import functools
import json
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tfp_ood import models, units
from tfp_ood.config import Config, DataConfig, GlowConfig
from tfp_ood.keras import keras
from tfp_ood.models.flows.flow import FlowModel

tfb, tfd = tfp.bijectors, tfp.distributions

SHAPE, LEVELS, STEPS, BATCH = (32, 32, 3), 3, 4, 32
WIDTHS = (64, 256)


class StockGlow(FlowModel):
    """`tfb.Glow` in the place of our bijectors; the rest (noise, scaling, training) is ours."""

    def __init__(self, num_hidden: int):
        glow = tfb.Glow(
            output_shape=SHAPE,
            num_glow_blocks=LEVELS,
            num_steps_per_block=STEPS,
            coupling_bijector_fn=lambda shape: tfb.GlowDefaultNetwork(shape, num_hidden=num_hidden),
            exit_bijector_fn=tfb.GlowDefaultExitNetwork,
        )
        super().__init__(tfb.Invert(glow), SHAPE)

    def _initialize(self, images):
        """Its actnorms have taken the first batch that came, when the model was built."""


def our_glow(num_hidden: int) -> FlowModel:
    """The model of the product at the benchmark's size."""
    sizes = GlowConfig(num_levels=LEVELS, num_steps=STEPS, num_hidden=num_hidden)
    return models.build(Config(data=DataConfig(image_shape=SHAPE), model=sizes))


def training_step(model: FlowModel, images: tf.Tensor, xla: bool) -> Callable:
    """A step as Keras would run it."""
    model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x: model.train_step({"image": x}), jit_compile=xla, autograph=False)
    return lambda: step(images)["bits_per_dim"].numpy()


def stock_training_step(model: FlowModel, images: tf.Tensor, xla: bool) -> Callable:
    """The same step on the whole batch: `tfb.Glow` cannot do with an unknown batch size."""
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)

    @functools.partial(tf.function, jit_compile=xla, autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            log_prob = model._training_log_prob(x, None, tf.stack([0, 1]))
            bits = tf.reduce_mean(units.bits_per_dim(log_prob, model.num_dims))
        optimizer.minimize(bits, model.trainable_variables, tape=tape)
        return bits

    return lambda: step(images).numpy()


def training_flops(model: FlowModel, images: tf.Tensor) -> float:
    """Floating-point operations of the networks in a training step, gradients included."""

    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model._training_log_prob(x, None, tf.stack([0, 1])))
        return tape.gradient(loss, model.trainable_variables)

    return timing.graph_flops(tf.function(gradients).get_concrete_function(images).graph)


def random_images() -> tf.Tensor:
    """A batch, uint8 [BATCH, *SHAPE]."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE))
    return tf.constant(pixels, tf.uint8)


def our_functions(num_hidden: int) -> dict[str, Callable]:
    """Training step and log_prob as the product runs them, and with XLA."""
    images, functions = random_images(), {}
    for name, xla in (("ours", False), ("ours_xla", True)):
        model = our_glow(num_hidden)
        model.initialize(images)
        functions[f"train_{name}"] = training_step(model, images, xla)
        score = tf.function(lambda x, model=model: model.call(x), jit_compile=True)
        scorer = score if xla else model.log_prob
        functions[f"log_prob_{name}"] = lambda score=scorer: score(images).numpy()
    return functions


def stock_functions(num_hidden: int) -> dict[str, Callable]:
    """The same of `tfb.Glow`, and a matrix product: what the machine can do."""
    images, functions = random_images(), {"matmul": timing.matmul_function()}
    for name, xla in (("stock", False), ("stock_xla", True)):
        model = StockGlow(num_hidden)
        model.initialize(images)
        functions[f"train_{name}"] = stock_training_step(model, images, xla)
        score = tf.function(lambda x, model=model: model._scores(x, 1)["log_prob"], jit_compile=xla)
        functions[f"log_prob_{name}"] = lambda score=score: score(images).numpy()
    return functions


def compare(num_hidden: int) -> dict[str, object]:
    """Images/s of ours and of stock, the ratios at the better of XLA on and off, and GFLOP/s."""
    seconds = timing.rival_seconds(
        functools.partial(our_functions, num_hidden), functools.partial(stock_functions, num_hidden)
    )
    flops = training_flops(our_glow(num_hidden), random_images())
    speed = {name: BATCH / s for name, s in seconds.items() if name != "matmul"}
    matmul_gflops = timing.MATMUL_FLOPS / seconds["matmul"] / 1e9
    train_gflops = flops / seconds["train_ours"] / 1e9
    return {
        "num_hidden": num_hidden,
        "images_per_second": {name: round(value, 1) for name, value in speed.items()},
        "train_ratio": round(_best(speed, "train_ours") / _best(speed, "train_stock"), 2),
        "log_prob_ratio": round(_best(speed, "log_prob_ours") / _best(speed, "log_prob_stock"), 2),
        "matmul_gflops": round(matmul_gflops, 1),
        "train_gflops": round(train_gflops, 1),
        "train_share_of_matmul": round(train_gflops / matmul_gflops, 2),
    }


def _best(speed: dict[str, float], name: str) -> float:
    return max(speed[name], speed[f"{name}_xla"])


def main() -> None:
    """Prints the comparison at every width as JSON."""
    results = []
    for num_hidden in WIDTHS:
        print(f"{num_hidden} hidden channels ...", file=sys.stderr)
        results.append(compare(num_hidden))
    sizes = {"image_shape": SHAPE, "levels": LEVELS, "steps": STEPS, "batch": BATCH}
    print(json.dumps({**sizes, "baseline": "tfb.Glow", "results": results}, indent=2))


if __name__ == "__main__":
    main()
