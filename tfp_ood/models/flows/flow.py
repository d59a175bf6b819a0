"""Normalizing flows as likelihood models of discrete images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.keras import keras
from tfp_ood.models import dequantize, whiteness
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.models.flows import bijectors, mixing, walks
from tfp_ood.models.halves import Part, in_halves

tfb, tfd = tfp.bijectors, tfp.distributions


class FlowModel(LikelihoodModel):
    """A flow with a standard normal latent; its likelihood is a bound, by dequantization.

    log p(y) = log p_z(f(y)) + log|det df/dy| for y = x + u, u uniform on [0, 1)^D, of which S
    draws are averaged: log P(x) >= E log 1/S sum_s p(x + u_s).

    Args:
      flow: bijector from images scaled to [-1/2, 1/2), `[H, W, C]`, to latents `[H * W * C]`.
      image_shape: (H, W, C).
      seed: of all noise.
      level_shapes: (H, W, C) of the latents of each level (`bijectors.level_shapes`); by default
        all are of one level.
      class_prior: of `ClassConditionalFlow`, whose weights are part of the model.
    """

    log_prob_kind = "bound"
    terms = ("log_prob_latent", "log_det")
    quick_samples = True

    def __init__(
        self,
        flow: tfb.Bijector,
        image_shape: tuple[int, int, int],
        seed: int = 0,
        level_shapes: Sequence[tuple[int, int, int]] = (),
        class_prior: keras.layers.Layer | None = None,
    ):
        super().__init__(image_shape, seed)
        self.class_prior = class_prior
        self._level_shapes = list(level_shapes) or [self.image_shape]
        # The density over pixels [0, 256) has the unit of the discrete likelihood.
        scale = tfb.Scale(tf.constant(1.0 / units.NUM_PIXEL_VALUES))
        to_latent = bijectors.Chain([flow, tfb.Shift(tf.constant(-0.5)), scale], name="to_latent")
        latent = tfd.Sample(tfd.Normal(0.0, 1.0), [self.num_dims])
        self.distribution = tfd.TransformedDistribution(latent, tfb.Invert(to_latent))
        """Over dequantized images, `[H, W, C]` in [0, 256)."""
        self._finish_build()

    def encode(self, images: Any) -> tf.Tensor:
        """The latents of uint8 images `[B, H, W, C]`, each pixel at the middle of its bin: float32
        `[B, H * W * C]`."""
        pixels = tf.cast(self._checked(images), tf.float32) + 0.5
        return self.distribution.bijector.bijector.forward(pixels)

    def decode(self, latents: Any) -> tf.Tensor:
        """The uint8 images `[B, H, W, C]` that latents `[B, H * W * C]` stand for."""
        return self._decode(tf.convert_to_tensor(latents))

    def _make_variables(self, images: tf.Tensor) -> None:
        self.encode(images)

    def _initialize(self, images: tf.Tensor, method: str = "initialize") -> None:
        noise = dequantize.training_noise(tf.shape(images), tf.constant([self.seed, 0]))
        to_latent = self.distribution.bijector.bijector
        walks.initialize(to_latent, tf.cast(images, tf.float32) + noise, method)

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        noise = dequantize.training_noise(tf.shape(images), seed)
        return sum(self._terms(tf.cast(images, tf.float32) + noise))

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """The terms of log_prob; of every level's latents log p(z), mean square and the tests of
        `whiteness`, as LEVEL's columns."""
        found = self._draws(images, num_draws)
        latent = found.pop("log_prob_latent")
        return average_draws(latent, latent + found.pop("log_det"), found)

    def _draws(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """`_terms` and `_level_statistics` of S noise draws, `[S, B]` each."""

        def one_draw(draw: tf.Tensor) -> dict[str, tf.Tensor]:
            noise = dequantize.content_noise(images, draw, self.seed)
            pixels = tf.cast(images, tf.float32) + noise
            latents, latent, log_det = self._latents_and_terms(pixels)
            further = self._level_statistics(self._standardised(latents, latent))
            return {"log_prob_latent": latent, "log_det": log_det, **further}

        if num_draws == 1:
            return {k: tf.expand_dims(v, 0) for k, v in one_draw(tf.constant(0)).items()}
        return tf.map_fn(
            one_draw,
            tf.range(num_draws),
            parallel_iterations=1,  # or ten draws are held at once
            fn_output_signature=dict.fromkeys(self._statistic_names(), tf.float32),
        )

    def _differentiable(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the images with their noise, y = x + u: log p(y)."""
        noise = dequantize.content_noise(images, tf.constant(0), self.seed)
        pixels = tf.cast(images, tf.float32) + noise
        return pixels, sum(self._terms(pixels))

    def _standardised(self, latents: tf.Tensor, log_prob_latent: tf.Tensor) -> tf.Tensor:
        """The latents `[B, D]` as they would be if the prior were a standard normal."""
        return latents

    def _level_statistics(self, latents: tf.Tensor) -> dict[str, tf.Tensor]:
        """The columns of each level, from standard normal latents `[B, D]`."""
        sizes = [math.prod(shape) for shape in self._level_shapes]
        parts = tf.split(latents, sizes[::-1], axis=-1)[::-1]
        found = {}
        for number, (shape, part) in enumerate(zip(self._level_shapes, parts, strict=True), 1):
            level = f"level_{number}"
            mean_square = tf.reduce_mean(tf.square(part), axis=-1)
            size = math.prod(shape)
            found[f"log_prob_latent.{level}"] = -0.5 * size * (mean_square + math.log(2 * math.pi))
            found[f"mean_square.{level}"] = mean_square
            found |= whiteness.tests(tf.reshape(part, [-1, *shape]), level)
        return found

    def _statistic_names(self) -> list[str]:
        tests = ("log_prob_latent", "mean_square", *whiteness.TESTS)
        levels = range(1, len(self._level_shapes) + 1)
        return ["log_prob_latent", "log_det", *(f"{t}.level_{n}" for n in levels for t in tests)]

    def _terms(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p_z(f(y))` `[B]`, or `[B, K]` by class, and `log|det df/dy|` `[B]` of images y
        `[B, H, W, C]` in [0, 256)."""
        return self._latents_and_terms(pixels)[1:]

    def _latents_and_terms(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """f(y) `[B, D]` and the `_terms` of images y."""
        to_latent = self.distribution.bijector.bijector
        latents, log_det = walks.forward_and_log_det(to_latent, pixels)
        log_det = tf.broadcast_to(log_det, tf.shape(latents)[:1])
        return latents, self._log_prob_latent(latents), log_det

    def _log_prob_latent(self, latents: tf.Tensor) -> tf.Tensor:
        """log p_z of latents `[B, D]`: `[B]`."""
        return self.distribution.distribution.log_prob(latents)

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        latents = self.distribution.distribution.sample(num_images, seed=seed)
        return self._decode(temperature * latents)

    def _decode(self, latents: tf.Tensor) -> tf.Tensor:
        """See `decode`; for graphs."""

        def decoded(part: Part, number: tf.Tensor) -> Part:
            pixels = self.distribution.bijector.forward(part["latents"])
            pixels = tf.clip_by_value(tf.floor(pixels), 0.0, units.NUM_PIXEL_VALUES - 1.0)
            return {"images": tf.cast(pixels, tf.uint8)}

        with self._folded_once(mixing.inverses(self.distribution.bijector)):
            return in_halves(decoded, {"latents": latents})["images"]


def average_draws(
    latent: tf.Tensor, log_prob: tf.Tensor, further: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The log of the mean likelihood over draws, its two terms, and means of what else was drawn.

    With draws weighted by their likelihood the two terms still add up to `log_prob`; the log-det
    takes the (small) entropy of the weights.

    Args:
      latent: log p_z, `[S, B]`, nats.
      log_prob: latent plus log-det, `[S, B]`, nats.
      further: other statistics of the draws, `[S, B]` each; weighted in the same way.

    Returns:
      `log_prob`, `log_prob_latent`, `log_det` and the further ones, `[B]` each.
    """
    mean, weights = log_mean_exp(log_prob), tf.nn.softmax(log_prob, axis=0)
    mean_latent = tf.reduce_sum(weights * latent, axis=0)
    return {
        "log_prob": mean,
        "log_prob_latent": mean_latent,
        "log_det": mean - mean_latent,
        **{name: tf.reduce_sum(weights * values, axis=0) for name, values in further.items()},
    }


def log_mean_exp(log_values: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """The log of the mean of exp(log_values) over an axis."""
    count = tf.cast(tf.shape(log_values)[axis], log_values.dtype)
    return tf.reduce_logsumexp(log_values, axis=axis) - tf.math.log(count)
