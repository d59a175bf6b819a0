"""Our RealNVP against `tfb.RealNVP`: `python -m tests.benchmarks.real_nvp` prints JSON.

Both are the same stack of the same networks, masks and normalizations, with `tfb.RealNVP` in the
place of our coupling; so the numbers of parameters are equal. The small configs' sizes, each with
and without XLA. Training is a whole optimizer step of Adam; log_prob is of uint8 images, with
dequantization; sampling is of as many images. Ours and stock run in turns in two processes, each
with the threads that suit it. Give the machine nothing else to do.
"""

import functools
import json
import sys
from collections.abc import Callable
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tests.benchmarks.glow import stock_training_step, training_step
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, RealNVPConfig
from tfp_ood.models.flows import couplings
from tfp_ood.models.flows.flow import FlowModel

tfb = tfp.bijectors

BATCH = 64
SHAPES = ((28, 28, 1), (32, 32, 3))
SIZES = RealNVPConfig(num_blocks=1)
TASKS = ("train", "log_prob", "sample")

Shape = tuple[int, int, int]


def our_model(shape: Shape) -> FlowModel:
    """The model of the product at the benchmark's size."""
    return models.build(Config(data=DataConfig(image_shape=shape), model=SIZES))


def stock_model(shape: Shape) -> FlowModel:
    """The same with every coupling a `tfb.RealNVP`, which masks halves of the last axis."""
    with mock.patch.object(couplings, "AffineCoupling", stock_coupling):
        return our_model(shape)


def stock_coupling(network: Callable, dtype: tf.DType, keep: str) -> tfb.Bijector:
    """`tfb.RealNVP` with the same network, mask and bound of the log scale as ours."""

    def shift_and_log_scale(kept, num_outputs):
        del num_outputs  # the network knows
        shift, raw = tf.split(tf.cast(network(kept), dtype), 2, axis=-1)
        return shift, 2.0 * tf.tanh(raw / 2.0)

    coupling = tfb.RealNVP(
        fraction_masked=0.5 if keep == "first" else -0.5,
        shift_and_log_scale_fn=shift_and_log_scale,
    )
    coupling.network = network  # so that its weights are found, which a function hides
    return coupling


def random_images(shape: Shape) -> tf.Tensor:
    """A batch, uint8."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *shape))
    return tf.constant(pixels, tf.uint8)


def functions(shape: Shape, name: str) -> dict[str, Callable]:
    """Training step, log_prob and sampling of "ours" or "stock", without and with XLA."""
    images, made = random_images(shape), {}
    build = {"ours": our_model, "stock": stock_model}[name]
    step = {"ours": training_step, "stock": stock_training_step}[name]
    for xla in (False, True):
        model = build(shape)
        model.initialize(images)
        key = f"{name}_xla" if xla else name
        made[f"train_{key}"] = step(model, images, xla)
        compile_ = functools.partial(tf.function, jit_compile=xla, autograph=False)
        score = compile_(lambda x, model=model: model._scores(x, 1)["log_prob"])
        if name == "ours" and not xla:
            score = model.log_prob  # as the product calls it
        made[f"log_prob_{key}"] = lambda score=score: score(images).numpy()
        made[f"sample_{key}"] = sampling(model, compile_)
    return made


def sampling(model: FlowModel, compile_: Callable) -> Callable:
    """Draws of a batch of images."""
    sample = compile_(lambda seed: model._samples(BATCH, seed, tf.constant(1.0)))
    seed = tf.constant([0, 0])
    return lambda: sample(seed).numpy()


def compare(shape: Shape) -> dict[str, object]:
    """Images/s of ours and of stock, and the ratios at the better of XLA on and off."""
    seconds = timing.rival_seconds(
        functools.partial(functions, shape, "ours"), functools.partial(functions, shape, "stock")
    )
    speed = {name: BATCH / s for name, s in seconds.items()}
    ratios = {
        f"{task}_ratio": round(_best(speed, f"{task}_ours") / _best(speed, f"{task}_stock"), 2)
        for task in TASKS
    }
    return {
        "image_shape": shape,
        "num_parameters": {
            "ours": our_model(shape).num_parameters(),
            "stock": stock_model(shape).num_parameters(),
        },
        "images_per_second": {name: round(value, 1) for name, value in speed.items()},
        **ratios,
    }


def _best(speed: dict[str, float], name: str) -> float:
    return max(speed[name], speed[f"{name}_xla"])


def main() -> None:
    """Prints the comparison at every shape as JSON."""
    results = []
    for shape in SHAPES:
        print(f"images of {shape} ...", file=sys.stderr)
        results.append(compare(shape))
    print(json.dumps({"batch": BATCH, "baseline": "tfb.RealNVP", "results": results}, indent=2))


if __name__ == "__main__":
    main()
