"""Our Glow against `tfb.Glow` of equal size: `python -m tests.benchmarks.glow` prints JSON.

32x32x3, 3 levels of 4 steps, batch 32, each with and without XLA. Training is a whole optimizer
step of Adam; log_prob is of uint8 images, with dequantization. Give the machine nothing else to do.
"""

import json
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, GlowConfig
from tfp_ood.keras import keras
from tfp_ood.models.flow import FlowModel

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
        self._scores(images, 1)  # its actnorms take the first batch that comes


def our_glow(num_hidden: int) -> FlowModel:
    """The model of the product at the benchmark's size."""
    sizes = GlowConfig(num_levels=LEVELS, num_steps=STEPS, num_hidden=num_hidden)
    return models.build(Config(data=DataConfig(image_shape=SHAPE), model=sizes))


def training_step(model: FlowModel, images: tf.Tensor, xla: bool) -> tuple[Callable, tf.Graph]:
    """A step as Keras would run it, and its graph."""
    model.compile(optimizer=keras.optimizers.Adam(1e-4))
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x: model.train_step({"image": x}), jit_compile=xla, autograph=False)
    graph = step.get_concrete_function(images).graph
    return lambda: step(images)["bits_per_dim"].numpy(), graph


def scoring(model: FlowModel, images: tf.Tensor, xla: bool) -> Callable:
    """log_prob of the batch; ours as the product calls it where XLA is off."""
    if xla or isinstance(model, StockGlow):
        # tfb.Glow cannot do with an unknown batch size, so shapes are static here.
        score = tf.function(lambda x: model._scores(x, 1)["log_prob"], jit_compile=xla)
        return lambda: score(images).numpy()
    return lambda: model.log_prob(images).numpy()


def compare(num_hidden: int) -> dict[str, object]:
    """Images/s of ours and of stock, the ratios at the better of XLA on and off, and GFLOP/s."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE))
    images = tf.constant(pixels, tf.uint8)
    matmul, matmul_flops = timing.matmul_function()
    functions, flops = {"matmul": matmul}, 0.0
    for name, build in (("ours", our_glow), ("stock", StockGlow)):
        for xla in (False, True):
            model = build(num_hidden)
            model.initialize(images)
            key = f"{name}{'_xla' if xla else ''}"
            functions[f"train_{key}"], graph = training_step(model, images, xla)
            functions[f"log_prob_{key}"] = scoring(model, images, xla)
            if key == "ours":
                flops = timing.graph_flops(graph)
    seconds = timing.interleaved_seconds(functions)
    speed = {name: BATCH / s for name, s in seconds.items() if name != "matmul"}
    matmul_gflops = matmul_flops / seconds["matmul"] / 1e9
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
