"""Networks inside the likelihood models, as tf_keras layers."""

from collections.abc import Callable, Hashable, Sequence
from typing import Self

import tensorflow as tf

from tfp_ood.keras import keras
from tfp_ood.models import folding
from tfp_ood.models.chunks import in_chunks

_DEVIATION = 0.05  # of the weights of normalized convolutions, which normalization makes up for
_FACTOR = 3.0


class CouplingNetwork(keras.layers.Layer):
    """3x3, 1x1 and 3x3 convolutions with ReLU, the first two normalized by an actnorm: Kingma &
    Dhariwal, "Glow", 2018, section 3.3, as in its published code.

    The last convolution starts at zero, so that a coupling starts as the identity.

    Args:
      num_hidden: channels of the hidden layers.
      num_outputs: channels of the output `[B, H, W, num_outputs]`.
      seed: of the random initial weights.
      policy: tf_keras dtype policy, such as "mixed_bfloat16".
    """

    def __init__(self, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"):
        super().__init__(dtype=policy)
        self.first = ScaledConvolution(num_hidden, 3, seed, policy)
        self.middle = ScaledConvolution(num_hidden, 1, seed + 1, policy)
        self.last = zero_convolution(num_outputs, policy)

    def initialize(self, inputs: tf.Tensor) -> None:
        """Fits the hidden layers' actnorms to the images `[B, H, W, any]` that enter."""
        self.first.normalize(lambda x: x, inputs)
        self.middle.normalize(lambda x: self.first(x, rectify=True), inputs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs, rectify=True)
        return self.last(self.middle(hidden, rectify=True))


class ScaledConvolution(keras.layers.Layer):
    """A convolution to images of the same size, and an actnorm of its outputs:
    `(convolution + bias) * exp(3 * log_scale)`, as in Glow's published code.

    Both are learned; with the factor scales are learned three times as fast. In the graph kernel
    and bias are scaled, not the images.

    Args:
      num_outputs: channels of the output.
      size: of the kernel, 3 or 1.
      seed: of the random kernel; None for one of zeros.
      policy: tf_keras dtype policy.
    """

    def __init__(self, num_outputs: int, size: int, seed: int | None, policy: str = "float32"):
        super().__init__(dtype=policy)
        self._num_outputs, self._size, self._seed = num_outputs, size, seed

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the weights for the channels that come."""
        shape = [self._size, self._size, input_shape[-1], self._num_outputs]
        random = keras.initializers.RandomNormal(0.0, _DEVIATION, self._seed)
        start = (random if self._seed is not None else tf.zeros)(shape, self.variable_dtype)
        # Not by `add_weight`, whose variables are rounded to bfloat16 before they are scaled.
        self.kernel = tf.Variable(start, name="kernel")
        zeros = tf.zeros([self._num_outputs], self.variable_dtype)
        self.bias = tf.Variable(zeros, name="bias")
        self.log_scale = tf.Variable(zeros, name="log_scale")
        self.built = True

    def normalize(self, function: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> None:
        """Fits scale and bias, so that each channel of the output has mean 0 and variance 1.

        Args:
          function: makes of images what comes in.
          images: `[B, ...]`.
        """

        def moments(part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.nn.moments(tf.cast(self(function(part)), self.variable_dtype), [1, 2])

        held = 16 * (self._num_outputs + images.shape[-1])
        mean, variance = in_chunks(moments, images, held)
        variance = tf.reduce_mean(variance, 0) + tf.math.reduce_variance(mean, 0)
        scale = _scales(self.log_scale)
        self.bias.assign_sub(tf.reduce_mean(mean, 0) / scale)
        # A constant channel keeps a finite scale.
        self.log_scale.assign(-0.5 * tf.math.log(variance / scale**2 + 1e-6) / _FACTOR)

    @property
    def fold_key(self) -> Hashable:
        """The number of channels that leave, and their type."""
        return self._num_outputs, self.variable_dtype

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> list[folding.Folded]:
        """A kernel `[size, size, C, num_outputs]` and a bias `[num_outputs]`."""
        scales = _scales(tf.stack([one.log_scale for one in layers]))
        biases = tf.unstack(scales * tf.stack([one.bias for one in layers]))
        kernels = [
            one.kernel * scale for one, scale in zip(layers, tf.unstack(scales), strict=True)
        ]
        return list(zip(kernels, biases, strict=True))

    def call(self, inputs: tf.Tensor, rectify: bool = False) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`; with a ReLU where `rectify`."""
        kernel, bias = (tf.cast(one, inputs.dtype) for one in folding.of(self))
        activation = tf.nn.relu if rectify else (lambda x: x)
        if self._size == 1:
            # As a matrix product: its gradient takes half the time on a CPU. The ReLU goes before
            # the shape, so that product, bias and ReLU are one kernel.
            pixels = tf.reshape(inputs, [-1, inputs.shape[-1]])
            mixed = activation(tf.nn.bias_add(tf.matmul(pixels, kernel[0, 0]), bias))
            return tf.reshape(mixed, [-1, *inputs.shape[1:-1], self._num_outputs])
        return activation(tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, 1, "SAME"), bias))


def _scales(log_scales: tf.Tensor | tf.Variable) -> tf.Tensor:
    """What a `ScaledConvolution` multiplies by, from what it learns."""
    return tf.exp(_FACTOR * log_scales)


class ResidualNetwork(keras.layers.Layer):
    """Pre-activation residual blocks of 3x3 convolutions: Dinh et al. 2017, section 3.6, with
    actnorms in the place of its batch and weight normalization.

    The first convolution and the first of each block are normalized. What blocks add starts at
    zero, as does the last convolution, so that a coupling starts as the identity.

    Args:
      num_blocks: residual blocks, of two convolutions each.
      num_hidden: channels of the blocks.
      num_outputs: channels of the output `[B, H, W, num_outputs]`.
      seed: of the random initial weights; the `num_blocks` after it are used too.
      policy: tf_keras dtype policy, such as "mixed_bfloat16".
    """

    def __init__(
        self, num_blocks: int, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"
    ):
        super().__init__(dtype=policy)
        self.first = ScaledConvolution(num_hidden, 3, seed, policy)
        self.blocks = [
            (
                ScaledConvolution(num_hidden, 3, seed + number, policy),
                zero_convolution(num_hidden, policy),
            )
            for number in range(1, num_blocks + 1)
        ]
        self.last = zero_convolution(num_outputs, policy)

    def initialize(self, inputs: tf.Tensor) -> None:
        """Fits the actnorms to the images `[B, H, W, any]` that enter."""
        self.first.normalize(lambda x: x, inputs)
        for first, _ in self.blocks:  # which all see what the first convolution returns
            first.normalize(lambda x: self.first(x, rectify=True), inputs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs)
        for first, second in self.blocks:
            hidden += second(first(tf.nn.relu(hidden), rectify=True))
        return self.last(tf.nn.relu(hidden))


def zero_convolution(num_outputs: int, policy: str = "float32") -> keras.layers.Layer:
    """A 3x3 convolution that returns zeros until it is trained."""
    return ScaledConvolution(num_outputs, 3, None, policy)
