"""PixelCNNs: exact likelihoods, one pixel after the other.

log p(x) = sum_i log p(x_i | x_1, ..., x_{i-1}) over the pixels in raster order.
"""

import functools
from typing import Any

import tensorflow as tf

from tfp_ood.families import PixelCNNConfig
from tfp_ood.models import dequantize, whiteness
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.models.chunks import fitting, of_chunks
from tfp_ood.models.pixel_cnn import sampler
from tfp_ood.models.pixel_cnn.heads import CategoricalHead, LogisticHead
from tfp_ood.models.pixel_cnn.layers import Normalizer, WholeImage, convolutions, network_inputs
from tfp_ood.models.pixel_cnn.networks import GatedNetwork, PlusPlusNetwork

_PARTS = {
    "categorical": (GatedNetwork, CategoricalHead),
    "logistic_mixture": (PlusPlusNetwork, LogisticHead),
}
"""By `output`: features of each pixel from those before it, and from them to its likelihood."""

_BYTES_PER_PIXEL = 2**15
"""What the largest network here holds, hints of all layers and more. It is the same for every one,
since how many images are seen at once makes a difference to where training starts."""
_CHANNELS = {1: ("gray",), 3: ("red", "green", "blue")}
"""By their number, in the order in which each is given those before it."""


class PixelCNN(LikelihoodModel):
    """An autoregressive model of pixels; its arguments are those of `models.BUILDERS`."""

    def __init__(
        self, model: PixelCNNConfig, image_shape: tuple[int, int, int], seed: int, precision: str
    ):
        super().__init__(image_shape, seed)
        network, head = _PARTS[model.output]
        conv, num_channels = convolutions(seed, precision), image_shape[2]
        self.network = network(model, num_channels, conv)
        self.head = head(model, num_channels, functools.partial(conv, policy="float32"))
        self.dropout = model.dropout
        self._finish_build()

    def _initialize(self, images: tf.Tensor) -> None:
        def seen(chunk: tf.Tensor) -> Normalizer:
            normalizer = Normalizer()
            self._log_prob(chunk, apply=normalizer)
            return normalizer

        Normalizer.finish(of_chunks(seen, images, fitting(images, _BYTES_PER_PIXEL)))

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        return self._log_prob(images, dropout=self.dropout, seed=seed)

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """log_prob, and of every channel, given those before it, its share of log_prob and the
        tests of `whiteness` of its normal scores, as CHANNEL's columns."""
        log_probs, scores = self._normal_scores(images)
        by_channel = tf.reduce_sum(log_probs, axis=[1, 2])
        found = {"log_prob": tf.reduce_sum(by_channel, axis=-1)}
        for number, channel in enumerate(_CHANNELS[self.image_shape[2]]):
            found[f"log_prob.{channel}"] = by_channel[:, number]
            found |= whiteness.tests(scores[..., number : number + 1], channel)
        return found

    def _normal_scores(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log P(x_i | x_<i) of every pixel and channel, nats, and its normal score: `[B, H, W, C]`
        each."""
        run = WholeImage(network_inputs(images))
        log_probs, below = self.head.conditionals(run, self._features(run), images)
        noise = dequantize.content_noise(images, tf.constant(0), self.seed)
        return log_probs, whiteness.normal_scores(below, tf.exp(log_probs), noise)

    def _differentiable(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the pixels as the network reads them, for all that come after; the pixel that a
        likelihood is of, also what a mixture of logistics reads of it, is constant."""
        pixels = tf.cast(images, tf.float32)
        by_pixel = self._pixel_log_probs(network_inputs(pixels), images)
        return pixels, tf.reduce_sum(by_pixel, axis=[1, 2])

    def _log_prob(self, images: tf.Tensor, **how: Any) -> tf.Tensor:
        by_pixel = self._pixel_log_probs(network_inputs(images), images, **how)
        return tf.reduce_sum(by_pixel, axis=[1, 2])

    def _pixel_log_probs(self, inputs: tf.Tensor, images: tf.Tensor, **how: Any) -> tf.Tensor:
        """Nats of each pixel of `images`, `[B, H, W]`, given `inputs` of the network."""
        run = WholeImage(inputs, **how)
        return self.head.log_prob(run, self._features(run), images)

    def _features(self, run: WholeImage) -> tf.Tensor:
        """What the network tells of each pixel by those before it, and by its own first channels
        where it sees these: float32 `[B, H, W, F]`."""
        self.network.vertical(run)
        return tf.cast(self.network.horizontal(run), tf.float32)

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        noise = sampler.draw_noise(num_images, self.image_shape, self.head, seed)
        channels = self.image_shape[2]
        return sampler.sample(self.network, self.head, noise, temperature, channels)
