"""Normalizing flows as likelihood models of discrete images."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.models import bijectors, dequantize
from tfp_ood.models.base import LikelihoodModel

tfb, tfd = tfp.bijectors, tfp.distributions


class FlowModel(LikelihoodModel):
    """A flow with a standard normal latent; its likelihood is a bound, by dequantization.

    log p(y) = log p_z(f(y)) + log|det df/dy| for y = x + u, u uniform on [0, 1)^D, of which S
    draws are averaged: log P(x) >= E log 1/S sum_s p(x + u_s).

    Args:
      flow: bijector from images scaled to [-1/2, 1/2), `[H, W, C]`, to latents `[H * W * C]`.
      image_shape: (H, W, C).
      seed: of all noise.
    """

    log_prob_kind = "bound"

    def __init__(self, flow: tfb.Bijector, image_shape: tuple[int, int, int], seed: int = 0):
        super().__init__(image_shape, seed)
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
        def one_draw(draw):
            noise = dequantize.content_noise(images, draw, self.seed)
            return self._terms(tf.cast(images, tf.float32) + noise)

        if num_draws == 1:
            latent, log_det = one_draw(tf.constant(0))
            log_prob = latent + log_det
        else:
            terms = (tf.float32, tf.float32)
            latent, log_det = tf.map_fn(one_draw, tf.range(num_draws), fn_output_signature=terms)
            log_prob, latent = _average(latent, latent + log_det, num_draws)
        return {
            "log_prob": log_prob,
            "log_prob_latent": latent,
            "log_det": log_prob - latent,
        }

    def _terms(self, pixels):
        """`log p_z(f(y))` and `log|det df/dy|` of images y `[B, H, W, C]` in [0, 256): `[B]`."""
        to_latent = self.distribution.bijector.bijector
        log_prob_latent = self.distribution.distribution.log_prob(to_latent.forward(pixels))
        log_det = to_latent.forward_log_det_jacobian(pixels, event_ndims=3)
        return log_prob_latent, tf.broadcast_to(log_det, tf.shape(log_prob_latent))

    def _samples(self, num_images, seed, temperature):
        latents = self.distribution.distribution.sample(num_images, seed=seed)
        pixels = self.distribution.bijector.forward(temperature * latents)
        pixels = tf.clip_by_value(tf.floor(pixels), 0.0, units.NUM_PIXEL_VALUES - 1.0)
        return tf.cast(pixels, tf.uint8)


def _average(latent, log_prob, num_draws):
    """The log of the mean likelihood over draws `[S, B]`, and the latent term's weighted mean.

    With draws weighted by their likelihood the two terms still add up to `log_prob`; the log-det
    takes the (small) entropy of the weights.
    """
    weights = tf.nn.softmax(log_prob, axis=0)
    mean = tf.reduce_logsumexp(log_prob, axis=0) - math.log(num_draws)
    return mean, tf.reduce_sum(weights * latent, axis=0)
