"""Our RealNVP against `tfb.RealNVP`: `python -m tests.benchmarks.real_nvp` prints JSON.

Both are the same stack of the same networks, masks and normalizations, with `tfb.RealNVP` in the
place of our coupling; so the numbers of parameters are equal. 28x28x1 and 32x32x3, 2 levels of 3
couplings of each kind, each with and without XLA. Training is a whole optimizer step of Adam;
log_prob is of uint8 images, with dequantization; sampling is of the same number of images. Give the
machine nothing else to do.
"""

import json
import sys
from collections.abc import Callable
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tests.benchmarks.glow import scoring, training_step
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, RealNVPConfig
from tfp_ood.models import bijectors
from tfp_ood.models.flow import FlowModel

tfb = tfp.bijectors

BATCH = 64
SHAPES = ((28, 28, 1), (32, 32, 3))
SIZES = RealNVPConfig(num_blocks=1)
TASKS = ("train", "log_prob", "sample")


def our_model(shape: tuple[int, int, int]) -> FlowModel:
    """The model of the product at the benchmark's size."""
    return models.build(Config(data=DataConfig(image_shape=shape), model=SIZES))


def stock_model(shape: tuple[int, int, int]) -> FlowModel:
    """The same with every coupling a `tfb.RealNVP`, which masks halves of the last axis."""
    with mock.patch.object(bijectors, "AffineCoupling", stock_coupling):
        return our_model(shape)


def stock_coupling(network: Callable, dtype: tf.DType, keep: str) -> tfb.Bijector:
    """`tfb.RealNVP` with the same network, mask and bound of the log scale as ours."""

    def shift_and_log_scale(kept, num_outputs):
        del num_outputs
        shift, raw = tf.split(tf.cast(network(kept), dtype), 2, axis=-1)
        return shift, 2.0 * tf.tanh(raw / 2.0)

    # Tracked by the bijector, which holds a function only.
    shift_and_log_scale.network = network
    fraction = 0.5 if keep == "first" else -0.5
    coupling = tfb.RealNVP(fraction_masked=fraction, shift_and_log_scale_fn=shift_and_log_scale)
    coupling.network = network
    return coupling


def sampling(model: FlowModel, xla: bool) -> Callable:
    """Draws of a batch of images."""
    sample = tf.function(
        lambda seed: model._samples(BATCH, seed, tf.constant(1.0)), jit_compile=xla
    )
    seed = tf.constant([0, 0])
    return lambda: sample(seed).numpy()


def compare(shape: tuple[int, int, int]) -> dict[str, object]:
    """Images/s of ours and of stock, and the ratios at the better of XLA on and off."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *shape))
    images = tf.constant(pixels, tf.uint8)
    functions, num_parameters = {}, {}
    for name, build in (("ours", our_model), ("stock", stock_model)):
        for xla in (False, True):
            model = build(shape)
            model.initialize(images)
            num_parameters[name] = model.num_parameters()
            key = f"{name}{'_xla' if xla else ''}"
            functions[f"train_{key}"], _ = training_step(model, images, xla)
            functions[f"log_prob_{key}"] = scoring(model, images, xla)
            functions[f"sample_{key}"] = sampling(model, xla)
    seconds = timing.interleaved_seconds(functions)
    speed = {name: BATCH / s for name, s in seconds.items()}
    ratios = {
        f"{task}_ratio": round(_best(speed, f"{task}_ours") / _best(speed, f"{task}_stock"), 2)
        for task in TASKS
    }
    return {
        "image_shape": shape,
        "num_parameters": num_parameters,
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
