"""Normalizing flows as likelihood models of discrete images."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.keras import keras
from tfp_ood.models import dequantize
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.models.flows import bijectors

tfb, tfd = tfp.bijectors, tfp.distributions


class FlowModel(LikelihoodModel):
    """A flow with a standard normal latent; its likelihood is a bound, by dequantization.

    log p(y) = log p_z(f(y)) + log|det df/dy| for y = x + u, u uniform on [0, 1)^D, of which S
    draws are averaged: log P(x) >= E log 1/S sum_s p(x + u_s).

    Args:
      flow: bijector from images scaled to [-1/2, 1/2), `[H, W, C]`, to latents `[H * W * C]`.
      image_shape: (H, W, C).
      seed: of all noise.
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
        class_prior: keras.layers.Layer | None = None,
    ):
        super().__init__(image_shape, seed)
        self.class_prior = class_prior
        # The density over pixels [0, 256) has the unit of the discrete likelihood.
        scale = tfb.Scale(tf.constant(1.0 / units.NUM_PIXEL_VALUES))
        to_latent = tfb.Chain([flow, tfb.Shift(tf.constant(-0.5)), scale], name="to_latent")
        latent = tfd.Sample(tfd.Normal(0.0, 1.0), [self.num_dims])
        self.distribution = tfd.TransformedDistribution(latent, tfb.Invert(to_latent))
        """Over dequantized images, `[H, W, C]` in [0, 256)."""
        self._finish_build()

    def _initialize(self, images):
        noise = dequantize.training_noise(tf.shape(images), tf.constant([self.seed, 0]))
        to_latent = self.distribution.bijector.bijector
        bijectors.initialize(to_latent, tf.cast(images, tf.float32) + noise)

    def _training_log_prob(self, images, labels, seed):
        noise = dequantize.training_noise(tf.shape(images), seed)
        return sum(self._terms(tf.cast(images, tf.float32) + noise))

    def _scores(self, images, num_draws):
        latent, log_det = self._draws(images, num_draws)
        return average_draws(latent, latent + log_det)

    def _draws(self, images, num_draws):
        """`_terms` of S noise draws, `[S, B]` each."""

        def one_draw(draw):
            noise = dequantize.content_noise(images, draw, self.seed)
            return self._terms(tf.cast(images, tf.float32) + noise)

        if num_draws == 1:
            return [term[tf.newaxis] for term in one_draw(tf.constant(0))]
        terms = (tf.float32, tf.float32)
        return tf.map_fn(one_draw, tf.range(num_draws), fn_output_signature=terms)

    def _terms(self, pixels):
        """`log p_z(f(y))` and `log|det df/dy|` of images y `[B, H, W, C]` in [0, 256): `[B]`."""
        to_latent = self.distribution.bijector.bijector
        log_prob_latent = self.distribution.distribution.log_prob(to_latent.forward(pixels))
        log_det = to_latent.forward_log_det_jacobian(pixels, event_ndims=3)
        return log_prob_latent, tf.broadcast_to(log_det, tf.shape(log_prob_latent))

    def _samples(self, num_images, seed, temperature):
        latents = self.distribution.distribution.sample(num_images, seed=seed)
        return self._decode(temperature * latents)

    def _decode(self, latents):
        """Latents `[B, D]` to the uint8 images that they stand for."""
        pixels = self.distribution.bijector.forward(latents)
        pixels = tf.clip_by_value(tf.floor(pixels), 0.0, units.NUM_PIXEL_VALUES - 1.0)
        return tf.cast(pixels, tf.uint8)


def average_draws(latent: tf.Tensor, log_prob: tf.Tensor) -> dict[str, tf.Tensor]:
    """The log of the mean likelihood over draws, and its two terms.

    With draws weighted by their likelihood the two terms still add up to `log_prob`; the log-det
    takes the (small) entropy of the weights.

    Args:
      latent: log p_z, `[S, B]`, nats.
      log_prob: latent plus log-det, `[S, B]`, nats.

    Returns:
      `log_prob`, `log_prob_latent` and `log_det`, `[B]` each.
    """
    mean = log_mean_exp(log_prob)
    mean_latent = tf.reduce_sum(tf.nn.softmax(log_prob, axis=0) * latent, axis=0)
    return {"log_prob": mean, "log_prob_latent": mean_latent, "log_det": mean - mean_latent}


def log_mean_exp(log_values: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """The log of the mean of exp(log_values) over an axis."""
    count = tf.cast(tf.shape(log_values)[axis], log_values.dtype)
    return tf.reduce_logsumexp(log_values, axis=axis) - tf.math.log(count)
