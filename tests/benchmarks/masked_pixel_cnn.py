"""Gated PixelCNN with masks between the colours of a pixel in every layer, as published.

For `forms`: trained and scored, not drawn from. Each layer's channels are divided among the colours
(van den Oord et al., "Pixel recurrent neural networks", 2016, section 3.4): at its own pixel a
colour's channels see those of the colours before it, and from the second layer on its own.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_ood import units
from tfp_ood.families import PixelCNNConfig
from tfp_ood.keras import keras
from tfp_ood.models.pixel_cnn import heads, layers, networks
from tfp_ood.models.pixel_cnn.layers import MakeConv, ShiftedConv, Taps, WholeImage


class Colours(NamedTuple):
    """How a layer meets its own pixel: the colour of each input, -1 for what all see, and of each
    output, and whether a colour sees itself."""

    ins: np.ndarray
    outs: np.ndarray
    own: bool = True


def divided(num_channels: int, num_colours: int) -> np.ndarray:
    """The colour of each channel of a layer, `[num_channels]`."""
    return np.arange(num_channels) * num_colours // num_channels


class MaskedConv(ShiftedConv):
    """A `ShiftedConv` whose last tap, its own pixel, is masked by colours."""

    def __init__(self, colours: Colours, seed: int, *taps: Taps, **how: Any):
        super().__init__(len(colours.ins), len(colours.outs), seed, *taps, **how)
        sees = np.less_equal if colours.own else np.less
        mask = np.ones(self.direction.shape, np.float32)
        mask[-1, -1] = sees(colours.ins[:, np.newaxis], colours.outs)
        self._mask = tf.constant(mask)

    def _kernel(self, gain):
        direction = self._mask * self.direction
        square = tf.reduce_sum(tf.square(direction), axis=[0, 1, 2])
        return direction * (gain * tf.math.rsqrt(square))


def convolutions(seed: int, policy: str) -> MakeConv:
    """As `layers.convolutions`; called with `Colours` it makes a layer with masks."""
    plain, seeds = layers.convolutions(seed, policy), itertools.count(seed * 1_000_003 + 500_000)

    def make(*args: Any, **how: Any) -> ShiftedConv:
        if isinstance(args[0], Colours):
            return MaskedConv(args[0], next(seeds), *args[1:], **{"policy": policy, **how})
        return plain(*args, **how)

    return make


class MaskedNetwork(keras.layers.Layer):
    """`networks.GatedNetwork` with masks; its arguments are those of `networks.Network`."""

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()
        size, double = model.num_filters, 2 * model.num_filters
        hidden = divided(size, num_channels)
        both = np.tile(hidden, 2)  # values and gates
        pixel = np.array([*range(num_channels), -1])

        def stack(*how):
            return [conv(*how) for _ in range(model.num_layers)]

        # The vertical stream sees no row of a pixel's own.
        self.above = conv(num_channels + 1, size, Taps(-3, -1, -3, 3))
        self.verticals = stack(size, double, networks._ABOVE)
        self.hints = stack(double, double)
        self.left = conv(Colours(pixel, hidden, own=False), Taps(0, 0, -3, 0))
        self.horizontals = stack(Colours(hidden, both), Taps(0, 0, -1, 0))
        self.mixers = stack(Colours(hidden, hidden))

    vertical = networks.GatedNetwork.vertical
    horizontal = networks.GatedNetwork.horizontal


class MaskedHead(heads.CategoricalHead):
    """Two masked layers; its arguments are those of `networks.Network`."""

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        keras.layers.Layer.__init__(self)
        hidden = divided(model.num_filters, num_channels)
        wide = np.repeat(np.arange(num_channels), model.num_filters)
        values = np.repeat(np.arange(num_channels), units.NUM_PIXEL_VALUES)
        self.hidden_layer = conv(Colours(hidden, wide))
        self.output_layer = conv(Colours(wide, values), init_scale=heads._OUTPUT_SCALE)

    def _by_channel(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        hidden = tf.nn.relu(run.conv(self.hidden_layer, tf.nn.relu(features)))
        logits = tf.split(run.conv(self.output_layer, hidden), images.shape[-1], axis=-1)
        return zip(logits, tf.unstack(tf.cast(images, tf.int32), axis=-1), strict=True)


PARTS = {"categorical": (MaskedNetwork, MaskedHead)}
"""In the place of `build._PARTS`."""
