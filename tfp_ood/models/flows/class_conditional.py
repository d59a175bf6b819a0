"""Flows whose latent depends on the class: generative classifiers.

p(x) = 1/K sum_y p(x|y), and by Bayes' rule p(y|x) = p(x|y) / sum_y' p(x|y').
"""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.keras import keras
from tfp_ood.models import dequantize
from tfp_ood.models.flows.flow import FlowModel, average_draws, log_mean_exp

tfb, tfd = tfp.bijectors, tfp.distributions


class ClassPrior(keras.layers.Layer):
    """p(z|y): for each class a Gaussian with its own means and scales, at first all the same.

    Args:
      num_classes: K.
      num_dims: D, of the latent vector.
    """

    def __init__(self, num_classes: int, num_dims: int):
        super().__init__()
        shape = [num_classes, num_dims]
        self.num_classes = num_classes
        self.loc = self.add_weight("loc", shape, initializer="zeros")
        self.log_scale = self.add_weight("log_scale", shape, initializer="zeros")

    def log_prob(self, latents: tf.Tensor) -> tf.Tensor:
        """Nats of latents `[B, D]` under every class: `[B, K]`."""
        normal = tfd.Normal(self.loc, tf.exp(self.log_scale))
        return tf.reduce_sum(normal.log_prob(latents[:, tf.newaxis]), axis=-1)

    def standardised(self, latents: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        """Latents `[B, D]` of given classes `[B]`, less the class's means and over its scales."""
        scale = tf.exp(tf.gather(self.log_scale, classes))
        return (latents - tf.gather(self.loc, classes)) / scale

    def sample(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """Latents `[num_images, D]` of classes drawn evenly."""
        class_seed, noise_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        classes = tf.random.stateless_uniform(
            [num_images], class_seed, 0, self.num_classes, dtype=tf.int32
        )
        noise = tf.random.stateless_normal([num_images, self.loc.shape[1]], noise_seed)
        scale = temperature * tf.exp(tf.gather(self.log_scale, classes))
        return tf.gather(self.loc, classes) + scale * noise


class ClassConditionalFlow(FlowModel):
    """A flow with a `ClassPrior`, trained on log p(x|y) of labelled images.

    Its `log_prob` is of the mixture over classes, which are equally likely beforehand; what it
    thinks of the class is in further statistics.

    Args:
      flow: bijector from images scaled to [-1/2, 1/2), `[H, W, C]`, to latents `[H * W * C]`.
      image_shape: (H, W, C).
      num_classes: K; labels are 0 to K - 1.
      seed: of all noise.
      level_shapes: see `FlowModel`.
    """

    def __init__(
        self,
        flow: tfb.Bijector,
        image_shape: tuple[int, int, int],
        num_classes: int,
        seed: int = 0,
        level_shapes: Sequence[tuple[int, int, int]] = (),
    ):
        num_dims = image_shape[0] * image_shape[1] * image_shape[2]
        class_prior = ClassPrior(num_classes, num_dims)
        super().__init__(flow, image_shape, seed, level_shapes, class_prior)

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        if labels is None:
            raise ValueError('A class-conditional model is trained on batches with a "label".')
        noise = dequantize.training_noise(tf.shape(images), seed)
        latent, log_det = self._terms(tf.cast(images, tf.float32) + noise)
        return tf.gather(latent, tf.cast(labels, tf.int32), batch_dims=1) + log_det

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """The flow's statistics of p(x), and of p(y|x) the likeliest class, its probability and
        the entropy (nats)."""
        found = self._draws(images, num_draws)
        latent, log_det = found.pop("log_prob_latent"), found.pop("log_det")
        marginal = log_mean_exp(latent, axis=-1)
        by_class = log_mean_exp(latent + log_det[..., tf.newaxis])
        posterior = tfd.Categorical(logits=by_class)
        return {
            **average_draws(marginal, marginal + log_det, found),
            "predicted_class": tf.cast(posterior.mode(), tf.float32),
            "class_probability": tf.reduce_max(posterior.probs_parameter(), axis=-1),
            "class_entropy": posterior.entropy(),
        }

    def _differentiable(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noise = dequantize.content_noise(images, tf.constant(0), self.seed)
        pixels = tf.cast(images, tf.float32) + noise
        by_class, log_det = self._terms(pixels)
        return pixels, log_mean_exp(by_class, axis=-1) + log_det

    def _log_prob_latent(self, latents: tf.Tensor) -> tf.Tensor:
        """log p_z of latents `[B, D]` under every class: `[B, K]`."""
        return self.class_prior.log_prob(latents)

    def _standardised(self, latents: tf.Tensor, log_prob_latent: tf.Tensor) -> tf.Tensor:
        """By the mean and scale of the class that each image's latents are likeliest under."""
        return self.class_prior.standardised(latents, tf.argmax(log_prob_latent, axis=-1))

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return self._decode(self.class_prior.sample(num_images, seed, temperature))
