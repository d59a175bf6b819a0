"""Likelihoods of fixed models agree with the figures that a CPU left, and flows invert."""

import json
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tests.gpu import fixed
from tests.gpu.table import Row, at_most
from tfp_ood import models
from tfp_ood.models.flows.flow import FlowModel

PART = "agreement"
FIGURES = pathlib.Path(__file__).with_name("figures.json")
RELATIVE_LIMIT = 1e-4
PIXEL_LIMIT = 0.05
"""Pixel values by which an inverse may miss; half of one would change images."""
_HALF = 0.5  # the middle of a pixel value


def log_probs(made: models.LikelihoodModel) -> list[float]:
    """Nats of each fixed image."""
    return [float(value) for value in made.log_prob(fixed.images()).numpy()]


def write(path: pathlib.Path = FIGURES) -> None:
    """Writes the figures of this machine, which should be a CPU."""
    found = {name: log_probs(fixed.model(name)) for name in fixed.MODELS}
    rounded = {name: [round(value, 3) for value in values] for name, values in found.items()}
    path.write_text(json.dumps(rounded, indent=1) + "\n")


def deviation(found: list[float], wanted: list[float]) -> float:
    """The largest relative difference; infinite where one is no number or they are not as many."""
    if len(found) != len(wanted) or not np.isfinite(found).all():
        return float("inf")
    return float(np.max(np.abs(np.subtract(found, wanted) / wanted)))


def inversion_error(
    encode: Callable[[tf.Tensor], tf.Tensor], decode: Callable[[tf.Tensor], tf.Tensor]
) -> float:
    """Pixel values by which the fixed images miss themselves on their way there and back."""
    pixels = fixed.images() + np.float32(_HALF)
    # Through NumPy: the cache of bijectors must not give back what went in.
    latents = tf.constant(encode(tf.constant(pixels)).numpy())
    return float(np.max(np.abs(decode(latents).numpy() - pixels)))


def num_changed(made: FlowModel) -> int:
    """Pixel values that the sampler's own way back gets wrong."""
    to_latent = made.distribution.bijector.bijector
    pixels = fixed.images() + np.float32(_HALF)
    latents = tf.constant(to_latent.forward(tf.constant(pixels)).numpy())
    return int(np.sum(made._decode(latents).numpy() != fixed.images()))


def rows_of(name: str, made: models.LikelihoodModel, figures: Mapping[str, list[float]]) -> list:
    """All rows of a model."""
    differ = deviation(log_probs(made), figures.get(name, []))
    rows = [at_most(PART, f"{name}: log_prob against a CPU's, relative", differ, RELATIVE_LIMIT)]
    if isinstance(made, FlowModel):
        flow = made.distribution.bijector
        error = inversion_error(flow.bijector.forward, flow.forward)
        rows += [
            at_most(PART, f"{name}: inverse, pixel values", error, PIXEL_LIMIT),
            at_most(PART, f"{name}: pixels changed by encoding and decoding", num_changed(made), 0),
        ]
    return rows


def prepare(smoke: bool) -> Callable[[], list[Row]]:
    """See `parts`."""
    figures = json.loads(FIGURES.read_text())
    rounds = tf.config.experimental.tensor_float_32_execution_enabled()
    rows = [Row(PART, "TensorFloat-32", "on" if rounds else "off", "off", not rounds)]
    rows += [row for name in fixed.MODELS for row in rows_of(name, fixed.model(name), figures)]
    return lambda: rows
