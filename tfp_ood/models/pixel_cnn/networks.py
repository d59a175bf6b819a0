"""The two PixelCNN networks: from the pixels before a pixel to features of it.

Both have a vertical stream, which sees the rows above, and a horizontal one, which also sees the
own row to the left. A network is written once, for anything that has the methods of
`layers.WholeImage`: the sampler runs the same code row by row and pixel by pixel. All
but the runner works on the last axis only.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from tfp_ood.families import PixelCNNConfig
from tfp_ood.keras import keras
from tfp_ood.models.pixel_cnn.layers import MakeConv, ShiftedConv, Taps, WholeImage

_ABOVE = Taps(-1, 0, -1, 1)
"""In the vertical stream, whose own row is already one of the rows above."""
_BESIDE = Taps(-1, 0, -1, 0)
"""In the horizontal stream, whose own pixel is already the one to the left."""
_OUTPUT_SCALE = 0.1
"""The scale of a residual branch at the start: nearly the identity, as in the authors' code."""


class Network(Protocol):
    """What the model and the sampler need of a network.

    Args:
      model: sizes.
      num_channels: of the image.
      conv: what makes the layers.
    """

    def vertical(self, run: WholeImage) -> None:
        """Runs the vertical stream, which leaves its results for the horizontal one."""

    def horizontal(self, run: WholeImage) -> tf.Tensor:
        """Features `[..., num_filters]` of every pixel; after `vertical`."""


class Node(NamedTuple):
    """A hidden layer and its activation, which several layers share."""

    value: tf.Tensor
    activated: tf.Tensor


def node(value: tf.Tensor) -> Node:
    """A hidden layer with the activation of PixelCNN++: elu of the layer and of its negative."""
    return Node(value, tf.nn.elu(tf.concat([value, -value], axis=-1)))


class Block(keras.layers.Layer):
    """A gated residual layer: x + a s(b) with (a, b) of two convolutions (Salimans et al., 2017).

    Args:
      taps: of both convolutions.
      num_filters: channels.
      skips: whether a layer of the way down is added in.
      hinted: whether the vertical stream is added in.
      conv: what makes the layers.
    """

    def __init__(self, taps: Taps, num_filters: int, skips: bool, hinted: bool, conv: MakeConv):
        super().__init__()
        double = 2 * num_filters
        self.enter = conv(double, num_filters, taps)
        self.leave = conv(double, double, taps, init_scale=_OUTPUT_SCALE)
        self.skip = conv(double, num_filters) if skips else None
        self.hint = conv(double, num_filters) if hinted else None

    def run(self, run: WholeImage, x: Node, skip: Node | None = None) -> Node:
        """The next layer after `x`."""
        hidden = run.conv(self.enter, x.activated)
        if skip is not None:
            hidden += run.conv(self.skip, skip.activated)
        if self.hint is not None:
            hidden += run.told(self.hint)
        values, gates = tf.split(run.conv(self.leave, run.drop(node(hidden).activated)), 2, -1)
        return node(x.value + values * tf.sigmoid(gates))


class Level(keras.layers.Layer):
    """One resolution of one stream: blocks on the way down, and as many and one on the way up.

    Args:
      model: sizes.
      taps: of the blocks' convolutions.
      hinted: whether this is the horizontal stream.
      level: halvings of the image.
      conv: what makes the layers.
    """

    def __init__(self, model: PixelCNNConfig, taps: Taps, hinted: bool, level: int, conv: MakeConv):
        super().__init__()
        num_filters, is_last = model.num_filters, level == model.num_hierarchies - 1
        conv = functools.partial(conv, level=level)

        def blocks(count: int, skips: bool) -> list[Block]:
            return [Block(taps, num_filters, skips, hinted, conv) for _ in range(count)]

        self.down = blocks(model.num_layers, False)
        self.up = blocks(model.num_layers + (not is_last), True)
        self.shrink = self.grow = None
        if not is_last:
            self.shrink = conv(num_filters, num_filters, taps, stride=2)
            # A transposed convolution of 2x2: each pixel becomes four.
            self.grow = conv(num_filters, 4 * num_filters, level=level + 1)


class PlusPlusNetwork(keras.layers.Layer):
    """PixelCNN++ (Salimans et al., 2017, section 2.3 and figure 2): a U-net of two streams.

    Unlike in the authors' code, the hints of the vertical stream and the skips from the way down
    enter by layers of their own (the sum is the same function), so that hints are computed for a
    whole row; the vertical stream's way up has kernels of 2x2, too; and the first horizontal layer
    sees the pixel to the upper left once. Its arguments are those of `Network`.
    """

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()

        def levels(taps: Taps, hinted: bool) -> list[Level]:
            return [Level(model, taps, hinted, k, conv) for k in range(model.num_hierarchies)]

        first = functools.partial(conv, num_channels + 1, model.num_filters)
        self.above = first(Taps(-2, -1, -1, 1))
        self.upper = first(Taps(-1, -1, -1, 1))
        self.left = first(Taps(0, 0, -1, -1))
        self.vertical_levels = levels(_ABOVE, False)
        self.horizontal_levels = levels(_BESIDE, True)

    def vertical(self, run: WholeImage) -> None:
        """See `Network`."""
        run.tell(self.upper, run.first(self.upper))
        self._stream(run, self.vertical_levels, run.first(self.above))

    def horizontal(self, run: WholeImage) -> tf.Tensor:
        """See `Network`."""
        start = run.told(self.upper) + run.first(self.left)
        return tf.nn.elu(self._stream(run, self.horizontal_levels, start))

    def _stream(
        self, run: WholeImage, levels: Sequence[Level], x: tf.Tensor, k: int = 0
    ) -> tf.Tensor:
        """A stream from resolution `k` down and up again."""
        level, horizontal = levels[k], self.horizontal_levels[k]

        def step(block: Block, hinted: Block, *inputs: Node) -> Node:
            output = block.run(run, *inputs)
            if block is not hinted:  # in the vertical stream
                run.tell(hinted.hint, run.conv(hinted.hint, output.activated))
            return output

        skips = [node(x)]
        for blocks in zip(level.down, horizontal.down, strict=True):
            skips.append(step(*blocks, skips[-1]))
        if level.shrink is None:
            current = skips.pop()
        else:
            value = run.halve(
                level.shrink,
                level.grow,
                lambda run, low: self._stream(run, levels, low, k + 1),
                skips[-1].value,
            )
            current = node(value)
        for blocks in zip(level.up, horizontal.up, strict=True):
            current = step(*blocks, current, skips.pop())
        return current.value


class GatedNetwork(keras.layers.Layer):
    """Gated PixelCNN (van den Oord et al., "Conditional image generation", 2016, figure 2).

    The first layer sees three pixels to each side and above (a masked 7x7), the others one. The
    horizontal stream's channels are divided among the colours (van den Oord et al., "Pixel
    recurrent neural networks", 2016, section 3.4): at its own pixel a colour sees those before it,
    and from the second layer on what the first ones told its own channels. Its arguments are those
    of `Network`.
    """

    def __init__(self, model: PixelCNNConfig, num_channels: int, conv: MakeConv):
        super().__init__()
        num_filters, double = model.num_filters, 2 * model.num_filters

        def layers(*args: Any, **how: Any) -> list[ShiftedConv]:
            return [conv(*args, **how) for _ in range(model.num_layers)]

        hidden = colours(num_filters, num_channels)[:, np.newaxis]
        both = np.tile(hidden, [2, 1])  # values and gates
        # The channel of ones, which is the same of all own pixels, is of no colour.
        pixel = np.arange(num_channels + 1)[:, np.newaxis]
        self.above = conv(num_channels + 1, num_filters, Taps(-3, -1, -3, 3))
        if num_channels == 1:
            self.left = conv(2, num_filters, Taps(0, 0, -3, -1))
        else:
            taps = Taps(0, 0, -3, 0)
            self.left = conv(num_channels + 1, num_filters, taps, own=pixel < hidden.T)
        self.verticals = layers(num_filters, double, _ABOVE)
        self.horizontals = layers(num_filters, double, Taps(0, 0, -1, 0), own=hidden <= both.T)
        self.hints = layers(double, double)
        self.mixers = layers(num_filters, num_filters, own=hidden <= hidden.T)

    def vertical(self, run: WholeImage) -> None:
        """See `Network`."""
        x = run.first(self.above)
        for layer, hint in zip(self.verticals, self.hints, strict=True):
            hidden = run.conv(layer, x)
            run.tell(hint, run.conv(hint, hidden))
            x = run.drop(_gate(hidden))

    def horizontal(self, run: WholeImage) -> tf.Tensor:
        """See `Network`."""
        x = run.first(self.left)
        for layer, hint, mixer in zip(self.horizontals, self.hints, self.mixers, strict=True):
            gated = run.drop(_gate(run.conv(layer, x) + run.told(hint)))
            x += run.conv(mixer, gated)
        return x


def colours(num_filters: int, num_channels: int) -> np.ndarray:
    """The colour whose each filter is, in order: int `[num_filters]`, 0 to num_channels - 1."""
    return np.arange(num_filters) * num_channels // num_filters


def _gate(hidden: tf.Tensor) -> tf.Tensor:
    values, gates = tf.split(hidden, 2, axis=-1)
    return tf.tanh(values) * tf.sigmoid(gates)
