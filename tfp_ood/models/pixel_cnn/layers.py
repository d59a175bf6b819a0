"""Layers of the PixelCNNs: convolutions that see live taps only, and how a network is run.

Autoregressive networks are often made of masked 3x3 kernels. Here a kernel has just the live taps
and the image is shifted: nothing to mask, so that no step of an optimizer, average of weights or
restored file can make a pixel see its future, and no tap is computed to be thrown away. Only
between the colours of one pixel is there a mask, which is part of how a kernel is made of weights.
"""

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf

from tfp_ood import units
from tfp_ood.keras import keras
from tfp_ood.models import folding

_MIN_VARIANCE = 1e-8


class Taps(NamedTuple):
    """Which pixels a kernel sees: offsets from its own pixel, both ends included.

    `Taps(-1, 0, -1, 1)` is the row above and the own row, one column to the left to one to the
    right: a kernel of 2x3.
    """

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows of the kernel."""
        return self.bottom - self.top + 1

    @property
    def width(self) -> int:
        """Columns of the kernel."""
        return self.right - self.left + 1


SELF = Taps(0, 0, 0, 0)
"""The kernel of a 1x1 convolution."""


class ShiftedConv(keras.layers.Layer):
    """A convolution with weight normalisation whose kernel sees `taps` around each pixel.

    y = g * conv(x, v / |v|) + b with |v| the norm over all inputs of an output channel (Salimans &
    Kingma, "Weight normalization", 2016). Pixels outside of the image count as zeros.

    Args:
      num_inputs: channels of the input.
      num_outputs: channels of the output.
      seed: of the initial weights.
      taps: what the kernel sees.
      stride: of the output's rows and columns.
      level: halvings of the image where the *input* is; for the sampler.
      init_scale: standard deviation of the output after `initialize`.
      policy: tf_keras dtype policy.
      own: which outputs see which inputs of the pixel itself, bool `[num_inputs, num_outputs]`; all
        of them by default. The kernel's last tap has to be that pixel.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        seed: int,
        taps: Taps = SELF,
        stride: int = 1,
        level: int = 0,
        init_scale: float = 1.0,
        policy: str = "float32",
        own: np.ndarray | None = None,
    ):
        super().__init__(autocast=False)
        self.taps, self.stride, self.level, self.init_scale = taps, stride, level, init_scale
        self.num_inputs, self.num_outputs = num_inputs, num_outputs
        self._compute = tf.as_dtype(keras.mixed_precision.Policy(policy).compute_dtype)
        shape = [taps.height, taps.width, num_inputs, num_outputs]
        start = keras.initializers.RandomNormal(0.0, 0.05, seed)
        self.direction = self.add_weight("direction", shape, initializer=start)
        self.gain = self.add_weight("gain", [num_outputs], initializer="ones")
        self.bias = self.add_weight("bias", [num_outputs], initializer="zeros")
        self._mask = None
        if own is not None:
            mask = np.ones(shape, np.float32)
            mask[-1, -1] = own
            self._mask = tf.constant(mask)

    @property
    def fold_key(self) -> Hashable:
        """The same for all: kernels are large, so that they are not stacked."""
        return ()

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> list[folding.Folded]:
        """A kernel g v / |v|, float32 `[height, width, num_inputs, num_outputs]`, and a bias."""
        return [(layer._kernel(layer.gain), tf.identity(layer.bias)) for layer in layers]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, H, W, num_inputs]` to `[B, H / stride, W / stride, num_outputs]`."""
        kernel, bias = folding.of(self)
        return self._convolve(inputs, kernel) + tf.cast(bias, self._compute)

    def plain(self, inputs: tf.Tensor) -> tf.Tensor:
        """`call` with g = 1 and b = 0, float32."""
        return tf.cast(self._convolve(inputs, self._kernel(1.0)), tf.float32)

    def normalizing(self, mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The g and b for outputs of mean 0 and standard deviation `init_scale`.

        Args:
          mean: of the `plain` outputs, float32 `[num_outputs]`.
          variance: of them.
        """
        # Outputs that do not vary tell nothing of the scale.
        deviation = tf.sqrt(tf.where(variance > _MIN_VARIANCE, variance, 1.0))
        gain = self.init_scale / deviation
        return gain, -mean * gain

    def _kernel(self, gain: tf.Variable | float) -> tf.Tensor:
        direction = self.direction if self._mask is None else self._mask * self.direction
        square = tf.reduce_sum(tf.square(direction), axis=[0, 1, 2])
        return direction * (gain * tf.math.rsqrt(square))

    def _convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        inputs, kernel = tf.cast(inputs, self._compute), tf.cast(kernel, self._compute)
        if self.taps == SELF:
            # As a matrix product: its gradient takes half the time on a CPU.
            pixels = tf.reshape(inputs, [-1, self.num_inputs])
            mixed = tf.matmul(pixels, kernel[0, 0])
            return tf.reshape(mixed, [-1, *inputs.shape[1:-1], self.num_outputs])
        # Padding as an operation of its own: the gradient of a convolution that pads by itself
        # takes more than twice the time on a CPU.
        top, bottom, left, right = self.taps
        if bottom < 0 or right < 0:
            # Without the pixels at the end that no tap sees.
            height, width = inputs.shape[1:3]
            inputs = inputs[:, : height + min(0, bottom), : width + min(0, right)]
        rows, columns = [max(0, -top), max(0, bottom)], [max(0, -left), max(0, right)]
        padded = tf.pad(inputs, [[0, 0], rows, columns, [0, 0]])
        return tf.nn.conv2d(padded, kernel, self.stride, "VALID")


class Normalizer:
    """Normalises the outputs of all layers of a network over images, of which it sees few at once.

    As `WholeImage.apply`, one for each run, it normalises each layer over the images of the run, so
    that the next layer meets what it will meet in the end; it changes no layer. `finish` then gives
    every layer the moments over all runs.
    """

    def __init__(self) -> None:
        self._seen: dict[ShiftedConv, list[tuple[tf.Tensor, ...]]] = {}

    def __call__(self, layer: ShiftedConv, inputs: tf.Tensor) -> tf.Tensor:
        """A layer's output, normalised."""
        outputs = layer.plain(inputs)
        mean, variance = tf.nn.moments(outputs, list(range(outputs.shape.rank - 1)))
        self._seen.setdefault(layer, []).append((float(len(inputs)), mean, variance))
        gain, bias = layer.normalizing(mean, variance)
        return outputs * gain + bias

    @staticmethod
    def finish(runs: Sequence[Self]) -> None:
        """Normalises every layer by the mean and the variance of all that it put out."""
        for layer in runs[0]._seen:
            seen = [moments for run in runs for moments in run._seen[layer]]
            counts, means, variances = (tf.stack(values) for values in zip(*seen, strict=True))
            shares = (counts / tf.reduce_sum(counts))[:, tf.newaxis]
            mean = tf.reduce_sum(shares * means, 0)
            variance = tf.reduce_sum(shares * (variances + tf.square(means - mean)), 0)
            gain, bias = layer.normalizing(mean, variance)
            layer.gain.assign(gain)
            layer.bias.assign(bias)


@dataclasses.dataclass
class WholeImage:
    """Runs a network on whole images: layer by layer, each on all pixels at once.

    The networks are written against this class; the sampler has others of the same methods that
    run them on one row, or on one pixel.

    Args:
      inputs: `[B, H, W, num_inputs]`, what the first layers see.
      apply: how a layer meets its input: a call, or a `Normalizer`.
      dropout: share of hidden values that are dropped.
      seed: int32 `[2]`, of the dropout.
    """

    inputs: tf.Tensor
    apply: Callable[[ShiftedConv, tf.Tensor], tf.Tensor] = lambda layer, x: layer(x)
    dropout: float = 0.0
    seed: tf.Tensor | None = None

    def __post_init__(self) -> None:
        self._drops = itertools.count()
        self._told: dict[str, tf.Tensor] = {}

    def first(self, layer: ShiftedConv) -> tf.Tensor:
        """A layer's view of the image itself."""
        return self.apply(layer, self.inputs)

    def conv(self, layer: ShiftedConv, x: tf.Tensor) -> tf.Tensor:
        """A layer's output."""
        return self.apply(layer, x)

    def tell(self, layer: ShiftedConv, output: tf.Tensor) -> None:
        """In the vertical stream: leaves the output of a layer for the horizontal one."""
        self._told[layer.name] = output

    def told(self, layer: ShiftedConv) -> tf.Tensor:
        """In the horizontal stream: what the vertical one left of a layer."""
        return self._told[layer.name]

    def drop(self, x: tf.Tensor) -> tf.Tensor:
        """Dropout."""
        if not self.dropout:
            return x
        seed = tf.random.experimental.stateless_fold_in(self.seed, next(self._drops))
        return tf.nn.experimental.stateless_dropout(x, self.dropout, seed)

    def halve(
        self,
        shrink: ShiftedConv,
        grow: ShiftedConv,
        inner: Callable[["WholeImage", tf.Tensor], tf.Tensor],
        x: tf.Tensor,
    ) -> tf.Tensor:
        """`inner`, a part of the network, at half of the resolution."""
        low = inner(self, self.conv(shrink, x))
        return tf.nn.depth_to_space(self.conv(grow, low), 2)


MakeConv = Callable[..., ShiftedConv]
"""Makes a layer: called as `ShiftedConv`, without a seed."""


def convolutions(seed: int, policy: str) -> MakeConv:
    """What makes the layers of a model.

    Args:
      seed: of the model; layers have seeds that are spread so that no two start alike.
      policy: of the layers that are made without one.
    """
    seeds = itertools.count(seed * 1_000_003)

    def make(num_inputs: int, num_outputs: int, *taps: Any, **how: Any) -> ShiftedConv:
        how = {"policy": policy, **how}
        return ShiftedConv(num_inputs, num_outputs, next(seeds), *taps, **how)

    return make


def network_inputs(images: tf.Tensor) -> tf.Tensor:
    """Pixels `[..., C]` as -1 to 1, and a channel of ones, which tells them from padding.

    Returns:
      float32 `[..., C + 1]`.
    """
    scaled = tf.cast(images, tf.float32) * (2.0 / (units.NUM_PIXEL_VALUES - 1)) - 1.0
    return tf.concat([scaled, tf.ones_like(scaled[..., :1])], axis=-1)
