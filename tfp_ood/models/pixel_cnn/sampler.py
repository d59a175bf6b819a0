"""Sampling from a PixelCNN: for every new pixel only what is new, after "Fast PixelCNN++".

The plain way runs the network on the whole image for each of its H * W pixels, O((H W)^2) in all.
Here the inputs of every layer are kept for one row and one pixel back (Ramachandran et al., 2017,
"Fast generation for convolutional autoregressive models"), so that the cost of an image is
O(H W * live taps * layers), that of about one pass of the network. The vertical stream is run a
whole row at a time. So is, for the horizontal stream, all that comes from the row above. Layers of
lower resolution run where a pixel of theirs begins, at each second row and column. Where a network
sees colours of its own pixel, the horizontal stream runs once for each colour.

`_Row` and `_Pixel` have the methods of `layers.WholeImage`, and run the same networks.
Rows are `[W, B, C]` and pixels `[B, C]`, all in float32. XLA would make it three times as fast, but
takes longer to compile it than a sample of a hundred images takes without.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfp_ood.models import folding
from tfp_ood.models.pixel_cnn.heads import Head
from tfp_ood.models.pixel_cnn.layers import SELF, ShiftedConv, Taps, network_inputs
from tfp_ood.models.pixel_cnn.networks import Network

Memory = dict[str, tf.Tensor]
"""By name of a layer: what the next row or pixel needs of it."""
Array = tf.TensorArray
Arrays = dict[str, Array]
Inner = Callable[["_Place", tf.Tensor], tf.Tensor]


class _Weights(NamedTuple):
    """A layer in sampling: its kernel as matrices of all live taps' inputs to outputs."""

    all_rows: tf.Tensor
    first_row: tf.Tensor
    last_row: tf.Tensor
    bias: tf.Tensor
    level: int


def _weights(layer: ShiftedConv) -> _Weights:
    kernel, bias = folding.of(layer)
    rows = tf.reshape(kernel, [layer.taps.height, -1, layer.num_outputs])
    all_rows = tf.reshape(rows, [-1, layer.num_outputs])
    return _Weights(all_rows, rows[0], rows[-1], bias, layer.level)


def draw_noise(
    num_images: tf.Tensor, image_shape: tuple[int, int, int], head: Head, seed: tf.Tensor
) -> tf.Tensor:
    """All noise of a sample, uniform on [0, 1): float32 `[H, W, B, head.num_noise]`."""
    height, width, _ = image_shape
    return tf.random.stateless_uniform([height, width, num_images, head.num_noise], seed)


def sample(
    network: Network, head: Head, noise: tf.Tensor, temperature: tf.Tensor, num_channels: int
) -> tf.Tensor:
    """Images made of given noise.

    Args:
      network: the model's features.
      head: the model's likelihood.
      noise: of `draw_noise`.
      temperature: float32 `[]`, see `Head.draw`.
      num_channels: C.

    Returns:
      uint8 `[B, H, W, C]`.
    """
    return _Sampler(network, head, noise, temperature, num_channels).images()


@dataclasses.dataclass
class _Place:
    """What running a stream on one row, and on one pixel, of all images have in common.

    Attributes:
      weights: by name, of all layers.
      row: int32 `[]`, its number.
      memory: what the place before this one left, or None at the start, when all that is kept is
        zeros.
      new: what this place leaves.
    """

    weights: dict[str, _Weights]
    row: tf.Tensor
    memory: Memory | None
    new: Memory = dataclasses.field(default_factory=dict, kw_only=True)

    def drop(self, x: tf.Tensor) -> tf.Tensor:
        return x

    def halve(
        self, shrink: ShiftedConv, grow: ShiftedConv, inner: Inner, x: tf.Tensor
    ) -> tf.Tensor:
        small = self.conv(shrink, x)

        def active() -> Memory:
            run = dataclasses.replace(self, new={})
            run.new[grow.name] = run.conv(grow, inner(run, small))
            return run.new

        if self.memory is None:
            self.new |= active()
        else:
            # The part of the memory that belongs to lower resolutions than that of `shrink`.
            kept = {k: v for k, v in self.memory.items() if self.weights[k].level > shrink.level}
            self._rest(grow, kept)
            self.new |= tf.cond(self._begins(2**grow.level), active, lambda: kept)
        return self._own_part(self.new[grow.name], shrink.level)

    def _before(self, layer: ShiftedConv, x: tf.Tensor) -> tf.Tensor:
        """A layer's input at the place before, as this one leaves `x`."""
        self.new[layer.name] = x
        return tf.zeros_like(x) if self.memory is None else self.memory[layer.name]

    def _rest(self, grow: ShiftedConv, kept: Memory) -> None:
        """Corrects what is kept of a lower resolution where that does not run."""


@dataclasses.dataclass
class _Row(_Place):
    """Runs the vertical stream on one row of all images; the place before is the row above.

    Attributes:
      above: what the network saw of the rows above, `[R, W, B, num_inputs]`.
    """

    above: tf.Tensor

    def first(self, layer: ShiftedConv) -> tf.Tensor:
        taps = layer.taps
        end = self.above.shape[0]
        return self._convolve(layer, tf.unstack(self.above)[end + taps.top : end + taps.bottom + 1])

    def conv(self, layer: ShiftedConv, x: tf.Tensor) -> tf.Tensor:
        if layer.taps == SELF:
            return self._convolve(layer, [x])
        return self._convolve(layer, [self._before(layer, x), x])

    def tell(self, layer: ShiftedConv, output: tf.Tensor) -> None:
        self.new[layer.name] = output

    def _begins(self, step: int) -> tf.Tensor:
        return self.row % step == 0

    def _own_part(self, four: tf.Tensor, level: int) -> tf.Tensor:
        width, _, channels = four.shape
        two = tf.reshape(four, [width, -1, 2, 2, channels // 4])
        two = two[:, :, _half(self.row, level)]
        return tf.reshape(tf.transpose(two, [0, 2, 1, 3]), [2 * width, -1, channels // 4])

    def _convolve(self, layer: ShiftedConv, rows: Sequence[tf.Tensor]) -> tf.Tensor:
        weights = self.weights[layer.name]
        return _convolve(rows, layer.taps, weights.all_rows, weights.bias, layer.stride)


@dataclasses.dataclass
class _Pixel(_Place):
    """Runs the horizontal stream on one pixel of all images; the place before is to the left.

    Attributes:
      seen: of the pixels to the left, and last of this one, of which only channels that are drawn
        matter: what the network sees, `[L + 1, B, num_inputs]`.
      column: int32 `[]`, its column.
      hints: what the vertical stream left, of the whole row.
      from_above: by layer, what enters from the row above, of the whole row.
      rows: what the row above left, of the whole row.
    """

    seen: tf.Tensor
    column: tf.Tensor
    hints: Memory
    from_above: Memory
    rows: Memory | None

    def first(self, layer: ShiftedConv) -> tf.Tensor:
        taps, own = layer.taps, self.seen.shape[0] - 1
        pixels = tf.unstack(self.seen)[own + taps.left : own + taps.right + 1]
        pixels = tf.concat(pixels, axis=-1)
        weights = self.weights[layer.name]
        return pixels @ weights.all_rows + weights.bias

    def conv(self, layer: ShiftedConv, x: tf.Tensor) -> tf.Tensor:
        weights = self.weights[layer.name]
        if layer.taps == SELF:
            return x @ weights.all_rows + weights.bias
        before, above = self._before(layer, x), weights.bias
        if layer.name in self.from_above:
            above = self.from_above[layer.name][self.column // 2**layer.level]
        return tf.concat([before, x], -1) @ weights.last_row + above

    def told(self, layer: ShiftedConv) -> tf.Tensor:
        return self.hints[layer.name][self.column // 2**layer.level]

    def _begins(self, step: int) -> tf.Tensor:
        return (self.row | self.column) % step == 0

    def _rest(self, grow: ShiftedConv, kept: Memory) -> None:
        # In a row in which the lower resolution rests, it is as the row above left it.
        column = self.column // 2**grow.level
        rests = _half(self.row, grow.level - 1) == 1
        kept[grow.name] = tf.where(rests, self.rows[grow.name][column], kept[grow.name])

    def _own_part(self, four: tf.Tensor, level: int) -> tf.Tensor:
        shape = [-1, 2, 2, four.shape[-1] // 4]
        own_row = tf.reshape(four, shape)[:, _half(self.row, level)]
        return own_row[:, _half(self.column, level)]


class _Sampler:
    """The loops over rows and pixels."""

    def __init__(
        self, network: Network, head: Head, noise: tf.Tensor, temperature: tf.Tensor, channels: int
    ):
        self._network, self._head = network, head
        self._noise, self._temperature = noise, temperature
        self._num_channels = channels
        layers = [*network.submodules, *head.submodules]
        self._layers = {layer.name: layer for layer in layers if isinstance(layer, ShiftedConv)}
        self._weights = {name: _weights(layer) for name, layer in self._layers.items()}
        taps = [layer.taps for layer in self._layers.values()]
        self._num_above, self._num_left = -min(t.top for t in taps), -min(t.left for t in taps)

    def images(self) -> tf.Tensor:
        """uint8 `[B, H, W, C]`."""
        height, width, *_ = self._noise.shape
        above = self._padding([self._num_above, width])
        vertical, horizontal = self._empty(above)

        def body(
            row: tf.Tensor, above: tf.Tensor, vertical: Memory, horizontal: Memory, images: Array
        ) -> tuple[tf.Tensor, tf.Tensor, Memory, Memory, Array]:
            run = _Row(self._weights, row, vertical, above)
            self._network.vertical(run)
            horizontal, pixels = self._run_row(row, run.new, horizontal)
            above = tf.concat([above[1:], network_inputs(pixels)[tf.newaxis]], 0)
            return row + 1, above, run.new, horizontal, images.write(row, pixels)

        images = tf.TensorArray(tf.int32, height)
        start = (tf.constant(0), above, vertical, horizontal, images)
        *_, images = tf.while_loop(lambda row, *_: row < height, body, start)
        return tf.cast(tf.transpose(images.stack(), [2, 0, 1, 3]), tf.uint8)

    def _run_row(self, row: tf.Tensor, hints: Memory, rows: Memory) -> tuple[Memory, tf.Tensor]:
        """What the horizontal stream leaves of a row, and the row's pixels, int32 `[W, B, C]`."""
        width, noise = self._noise.shape[1], self._noise[row]
        from_above = self._from_above(rows)

        def body(
            column: tf.Tensor, left: tf.Tensor, memory: Memory, kept: Arrays, pixels: Array
        ) -> tuple[tf.Tensor, tf.Tensor, Memory, Arrays, Array]:
            own_noise = noise[column]
            pixel = tf.zeros_like(own_noise[:, :0], tf.int32)
            while unknown := self._num_channels - pixel.shape[-1]:
                own = network_inputs(tf.pad(pixel, [[0, 0], [0, unknown]]))
                seen = tf.concat([left, own[tf.newaxis]], 0)
                run = _Pixel(self._weights, row, memory, seen, column, hints, from_above, rows)
                features = self._network.horizontal(run)
                pixel = self._head.draw(run, features, pixel, own_noise, self._temperature)
            left = tf.concat([left[1:], network_inputs(pixel)[tf.newaxis]], 0)
            kept = {name: kept[name].write(column, value) for name, value in run.new.items()}
            return column + 1, left, run.new, kept, pixels.write(column, pixel)

        start = (
            tf.constant(0),
            self._padding([self._num_left]),
            {name: tf.zeros_like(value[0]) for name, value in rows.items()},
            {name: tf.TensorArray(tf.float32, width) for name in rows},
            tf.TensorArray(tf.int32, width),
        )
        *_, kept, pixels = tf.while_loop(lambda column, *_: column < width, body, start)
        new = {}
        for name, old in rows.items():
            # A lower resolution has every other pixel, of every other row.
            step = 2 ** self._weights[name].level
            new[name] = tf.where(row % step == 0, kept[name].stack()[::step], old)
        return new, pixels.stack()

    def _empty(self, above: tf.Tensor) -> tuple[Memory, Memory]:
        """The memories above the first row: zeros, in the shapes of what a first pixel leaves."""
        zero, seen = tf.constant(0), self._padding([self._num_left + 1])
        run = _Row(self._weights, zero, None, above)
        self._network.vertical(run)
        pixel = _Pixel(self._weights, zero, None, seen, zero, run.new, {}, None)
        self._network.horizontal(pixel)
        width = above.shape[1]
        horizontal = {}
        for name, value in pixel.new.items():
            size = width >> self._weights[name].level
            horizontal[name] = tf.tile(tf.zeros_like(value)[tf.newaxis], [size, 1, 1])
        return {name: tf.zeros_like(value) for name, value in run.new.items()}, horizontal

    def _from_above(self, rows: Memory) -> Memory:
        """By layer of the horizontal stream: what enters from the row above, with the bias."""
        above = {}
        for name, row in rows.items():
            taps, weights = self._layers[name].taps, self._weights[name]
            if taps.top == -1:
                above[name] = _convolve([row], taps, weights.first_row, weights.bias)
        return above

    def _padding(self, shape: Sequence[int]) -> tf.Tensor:
        """What the network sees outside of the image."""
        return tf.zeros([*shape, tf.shape(self._noise)[2], self._num_channels + 1])


def _convolve(
    rows: Sequence[tf.Tensor], taps: Taps, matrix: tf.Tensor, bias: tf.Tensor, stride: int = 1
) -> tf.Tensor:
    """For each pixel of rows `[W, B, C]` all that a kernel sees, `[taps * C]`, times a matrix, and
    plus a bias: `[W / stride, B, outputs]`."""
    width = rows[0].shape[0]
    parts = []
    for row in rows:
        padded = tf.pad(row, [[-taps.left, taps.right], [0, 0], [0, 0]])
        parts += [padded[i : i + width : stride] for i in range(taps.width)]
    row = tf.concat(parts, axis=-1)
    pixels = tf.reshape(row, [-1, row.shape[-1]]) @ matrix + bias
    return tf.reshape(pixels, [row.shape[0], -1, matrix.shape[-1]])


def _half(position: tf.Tensor, level: int) -> tf.Tensor:
    """Whether a pixel is the first (0) or the second (1) of two that are one a level lower."""
    return position // 2**level % 2
