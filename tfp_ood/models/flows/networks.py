"""Networks inside the likelihood models, as tf_keras layers."""

import tensorflow as tf

from tfp_ood.keras import keras

_random = keras.initializers.HeNormal


class CouplingNetwork(keras.layers.Layer):
    """3x3, 1x1 and 3x3 convolutions with ReLU: Kingma & Dhariwal, "Glow", 2018, section 3.3,
    without the actnorms of the published code's hidden layers.

    The last convolution starts at zero, so that a coupling starts as the identity.

    Args:
      num_hidden: channels of the hidden layers.
      num_outputs: channels of the output `[B, H, W, num_outputs]`.
      seed: of the random initial weights.
      policy: tf_keras dtype policy, such as "mixed_bfloat16".
    """

    def __init__(self, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"):
        super().__init__(dtype=policy)
        self.first = _convolution(num_hidden, _random(seed), policy, "relu")
        # A 1x1 convolution as a matrix product: its gradient takes half the time on a CPU.
        self.middle = keras.layers.Dense(
            num_hidden, activation="relu", kernel_initializer=_random(seed + 1), dtype=policy
        )
        self.last = zero_convolution(num_outputs, policy)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs)
        pixels = self.middle(tf.reshape(hidden, [-1, hidden.shape[-1]]))
        return self.last(tf.reshape(pixels, tf.shape(hidden)))


class ResidualNetwork(keras.layers.Layer):
    """Pre-activation residual blocks of 3x3 convolutions: Dinh et al. 2017, section 3.6, without
    its normalization.

    The last convolution starts at zero, so that a coupling starts as the identity. What the blocks
    add starts smaller the more there are, so that deep networks start at the scale of shallow ones.

    Args:
      num_blocks: residual blocks, of two convolutions each.
      num_hidden: channels of the blocks.
      num_outputs: channels of the output `[B, H, W, num_outputs]`.
      seed: of the random initial weights; the `2 * num_blocks` after it are used too.
      policy: tf_keras dtype policy, such as "mixed_bfloat16".
    """

    def __init__(
        self, num_blocks: int, num_hidden: int, num_outputs: int, seed: int, policy: str = "float32"
    ):
        super().__init__(dtype=policy)

        def convolution(number, initializer):
            return _convolution(num_hidden, initializer(seed + number), policy)

        def random_small(seed):
            return keras.initializers.VarianceScaling(2.0 / num_blocks, seed=seed)

        self.first = convolution(0, _random)
        self.blocks = [
            (convolution(i, _random), convolution(i + 1, random_small))
            for i in range(1, 2 * num_blocks, 2)
        ]
        self.last = zero_convolution(num_outputs, policy)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, any]` to `[B, H, W, num_outputs]`."""
        hidden = self.first(inputs)
        for first, second in self.blocks:
            hidden += second(tf.nn.relu(first(tf.nn.relu(hidden))))
        return self.last(tf.nn.relu(hidden))


def zero_convolution(num_outputs: int, policy: str = "float32") -> keras.layers.Layer:
    """A 3x3 convolution that returns zeros until it is trained."""
    return _convolution(num_outputs, "zeros", policy)


def _convolution(num_outputs, initializer, policy, activation=None):
    """A 3x3 convolution to images of the same size."""
    return keras.layers.Conv2D(
        num_outputs,
        3,
        padding="same",
        activation=activation,
        kernel_initializer=initializer,
        dtype=policy,
    )
