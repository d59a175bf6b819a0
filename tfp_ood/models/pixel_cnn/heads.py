"""Heads of the PixelCNNs: from features of a pixel to a distribution over its channels."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from tfp_ood import units
from tfp_ood.families import PixelCNNConfig
from tfp_ood.keras import keras
from tfp_ood.models.pixel_cnn import logistic_mixture
from tfp_ood.models.pixel_cnn.layers import MakeConv, WholeImage
from tfp_ood.models.pixel_cnn.logistic_mixture import LogisticMixture
from tfp_ood.models.pixel_cnn.networks import colours
from tfp_ood.models.pixels import CategoricalPixels

_OUTPUT_SCALE = 0.1
"""The scale of a head's output at the start: nearly the same distribution for every pixel."""


class Head(Protocol):
    """What the model and the sampler need of a head. All in float32."""

    num_noise: int
    """Uniform numbers that a draw of a pixel takes."""

    def log_prob(self, run: WholeImage, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Nats of uint8 pixels `[..., C]` given features `[..., F]` of those before, and of their
        own first channels where the network sees these: `[...]`."""

    def conditionals(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of each channel given those before it, the nats, which add up to `log_prob`, and the
        probability of all smaller values: `[..., C]` each."""

    def draw(
        self,
        run: WholeImage,
        features: tf.Tensor,
        drawn: tf.Tensor,
        noise: tf.Tensor,
        temperature: tf.Tensor,
    ) -> tf.Tensor:
        """The next channels of pixels of which the network has seen those that are drawn.

        Args:
          run: how layers are run.
          features: as of `log_prob`; the network saw any values of the channels that are not drawn.
          drawn: int32 `[..., k]`, the first channels, of which there may be none.
          noise: `[..., num_noise]`, uniform on [0, 1).
          temperature: `[]`.

        Returns:
          int32 `[..., more than k]`: `drawn`, and at least one channel more.
        """


class LogisticHead(keras.layers.Layer):
    """A discretized mixture of logistics; its arguments are those of `networks.Network`."""

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()
        self._num_channels, self._num_mixtures = num_channels, model.num_mixtures
        self.num_noise = 1 + num_channels
        num_outputs = logistic_mixture.num_parameters(model.num_mixtures, num_channels)
        self.output_layer = conv(model.num_filters, num_outputs, init_scale=_OUTPUT_SCALE)

    def distribution(self, run: WholeImage, features: tf.Tensor) -> LogisticMixture:
        """The distribution of every pixel."""
        parameters = run.conv(self.output_layer, features)
        start = logistic_mixture.spread_locations(self._num_mixtures, self._num_channels)
        return LogisticMixture(parameters + start, self._num_channels)

    def log_prob(self, run: WholeImage, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `Head`."""
        return self.distribution(run, features).log_prob(tf.cast(images, tf.float32))

    def conditionals(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Head`."""
        return self.distribution(run, features).conditionals(images)

    def draw(
        self,
        run: WholeImage,
        features: tf.Tensor,
        drawn: tf.Tensor,
        noise: tf.Tensor,
        temperature: tf.Tensor,
    ) -> tf.Tensor:
        """See `Head`: all channels at once; the temperature scales the logistics."""
        del drawn
        return self.distribution(run, features).draw(noise, temperature)


class CategoricalHead(keras.layers.Layer):
    """A softmax over the 256 values of each channel, by two layers that see the features of that
    colour and of those before it, which know of the pixel's channels before.

    Its arguments are those of `networks.Network`.
    """

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()
        self.num_noise, size = num_channels, model.num_filters
        numbers = colours(size, num_channels)
        self._seen = [np.sum(numbers <= channel) for channel in range(num_channels)]
        self.hidden_layers = [conv(seen, size) for seen in self._seen]
        self.output_layers = [
            conv(size, units.NUM_PIXEL_VALUES, init_scale=_OUTPUT_SCALE)
            for _ in range(num_channels)
        ]

    def logits(self, run: WholeImage, features: tf.Tensor, channel: int) -> tf.Tensor:
        """Logits `[..., 256]` of a channel's values."""
        inputs = tf.nn.relu(features[..., : self._seen[channel]])
        hidden = tf.nn.relu(run.conv(self.hidden_layers[channel], inputs))
        return run.conv(self.output_layers[channel], hidden)

    def log_prob(self, run: WholeImage, features: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `Head`."""
        by_channel = self._by_channel(run, features, images)
        return sum(CategoricalPixels().log_prob(logits, values) for logits, values in by_channel)

    def conditionals(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Head`."""
        by_channel = self._by_channel(run, features, images)
        told = [CategoricalPixels().told(logits, values) for logits, values in by_channel]
        return tf.stack([t.log_prob for t in told], -1), tf.stack([t.below for t in told], -1)

    def draw(
        self,
        run: WholeImage,
        features: tf.Tensor,
        drawn: tf.Tensor,
        noise: tf.Tensor,
        temperature: tf.Tensor,
    ) -> tf.Tensor:
        """See `Head`: one channel; the temperature divides the logits."""
        channel = drawn.shape[-1]
        logits = _cooled(self.logits(run, features, channel), temperature)
        values = CategoricalPixels().draw(logits, noise[..., channel])
        return tf.concat([drawn, values[..., tf.newaxis]], axis=-1)

    def _by_channel(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """For each channel of uint8 images its logits, and its values."""
        for channel, values in enumerate(tf.unstack(tf.cast(images, tf.int32), axis=-1)):
            yield self.logits(run, features, channel), values


def _cooled(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    # Relative to the largest, so that a temperature of 0 leaves that alone.
    relative = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    return tf.math.divide_no_nan(relative, temperature) + tf.where(
        (temperature == 0.0) & (relative < 0.0), -float("inf"), 0.0
    )
