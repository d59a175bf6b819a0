"""Gated PixelCNN without masks between the colours of a pixel: its head is told those before.

For `forms`: trained and scored, not drawn from.
"""

from collections.abc import Iterator

import tensorflow as tf

from tfp_ood import units
from tfp_ood.families import PixelCNNConfig
from tfp_ood.keras import keras
from tfp_ood.models.pixel_cnn import heads, networks
from tfp_ood.models.pixel_cnn.layers import MakeConv, Taps, WholeImage, network_inputs


class UnmaskedNetwork(keras.layers.Layer):
    """`networks.GatedNetwork` of which no layer sees its own pixel; arguments as
    `networks.Network`."""

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()
        size, double = model.num_filters, 2 * model.num_filters

        def stack(*how):
            return [conv(*how) for _ in range(model.num_layers)]

        self.above = conv(num_channels + 1, size, Taps(-3, -1, -3, 3))
        self.left = conv(num_channels + 1, size, Taps(0, 0, -3, -1))
        self.verticals = stack(size, double, Taps(-1, 0, -1, 1))
        self.horizontals = stack(size, double, Taps(0, 0, -1, 0))
        self.hints = stack(double, double)
        self.mixers = stack(size, size)

    vertical = networks.GatedNetwork.vertical
    horizontal = networks.GatedNetwork.horizontal


class ToldHead(heads.CategoricalHead):
    """Two layers for each channel, given the features and the channels before; arguments as
    `networks.Network`."""

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        keras.layers.Layer.__init__(self)
        size, values, scale = model.num_filters, units.NUM_PIXEL_VALUES, heads._OUTPUT_SCALE
        self.hidden_layers = [conv(size + k, size) for k in range(num_channels)]
        self.output_layers = [conv(size, values, init_scale=scale) for _ in range(num_channels)]

    def _by_channel(
        self, run: WholeImage, features: tf.Tensor, images: tf.Tensor
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        seen = tf.nn.relu(features)
        layers = zip(self.hidden_layers, self.output_layers, strict=True)
        for channel, (hidden_layer, output_layer) in enumerate(layers):
            values = images[..., channel : channel + 1]
            hidden = tf.nn.relu(run.conv(hidden_layer, seen))
            yield run.conv(output_layer, hidden), tf.cast(values[..., 0], tf.int32)
            seen = tf.concat([seen, network_inputs(values)[..., :1]], axis=-1)


PARTS = {"categorical": (UnmaskedNetwork, ToldHead)}
"""In the place of `build._PARTS`."""
