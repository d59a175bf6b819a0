"""Encoder and decoder of the VAE: five 5x5 convolutions and their mirror image.

Strides 2, 1, 2, 1, 2 are those of Nalisnick et al. (2019), appendix A, after Rosca et al. (2018).
"""

import math

import tensorflow as tf

from tfp_ood.families import VAEConfig
from tfp_ood.keras import keras

_KERNEL = 5
_STRIDES = (2, 1, 2, 1, 2)
_WIDTHS = (1, 2, 4, 8, 8)  # of each convolution's output, in num_filters


class _Stack(keras.Sequential):
    """Layers one after the other, called as they come.

    Keras' own makes a graph of them that nobody asks for, which took half of the time of building a
    VAE. The names of what is saved are those of Keras' own.
    """

    def build(self, input_shape: tf.TensorShape | None = None) -> None:
        """Leaves it to the layers, whose variables are made when they are called."""
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The last layer's outputs."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


class Encoder(keras.layers.Layer):
    """Images to the location and scale of the latent's posterior.

    Args:
      model: sizes.
      seed: of the initial weights.
      policy: tf_keras dtype policy of all but the last layer.
    """

    def __init__(self, model: VAEConfig, seed: int, policy: str):
        super().__init__(dtype=policy)
        size, kind = model.num_filters, keras.layers.Conv2D
        layers = [
            _convolution(kind, width * size, stride, seed + k, policy)
            for k, (width, stride) in enumerate(zip(_WIDTHS, _STRIDES, strict=True))
        ]
        self.convolutions = _Stack(layers, name="convolutions")
        self.flatten = keras.layers.Flatten(dtype=policy)
        self.last = _linear(2 * model.num_latents, seed + len(_STRIDES))

    def call(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scaled images `[B, H, W, C]` to two float32 `[B, L]`."""
        outputs = self.last(self.flatten(self.convolutions(images)))
        location, raw_scale = tf.split(outputs, 2, axis=-1)
        # Not the exponential: one odd image must not make an infinite scale.
        return location, tf.math.softplus(raw_scale) + 1e-4


class Decoder(keras.layers.Layer):
    """Latents to the numbers of a pixel's likelihood.

    Args:
      model: sizes.
      output_shape: (H, W, C, P), of images of any size with P numbers per pixel and channel.
      seed: of the initial weights.
      policy: tf_keras dtype policy of all but the last layer.
    """

    def __init__(
        self, model: VAEConfig, output_shape: tuple[int, int, int, int], seed: int, policy: str
    ):
        super().__init__(dtype=policy)
        self._output = output_shape
        sizes = _sizes(output_shape)
        first_shape = (*sizes[-1], _WIDTHS[-1] * model.num_filters)
        layers = [
            keras.layers.Dense(
                math.prod(first_shape),
                activation="relu",
                kernel_initializer=keras.initializers.HeNormal(seed),
                dtype=policy,
            ),
            keras.layers.Reshape(first_shape, dtype=policy),
        ]
        widths = (_WIDTHS[0], *_WIDTHS[:-1])  # each layer undoes one of the encoder
        for k in reversed(range(len(_STRIDES))):
            size = widths[k] * model.num_filters
            kind = keras.layers.Conv2DTranspose
            layers.append(_convolution(kind, size, _STRIDES[k], seed + 1 + k, policy))
            layers += _crop(sizes[k + 1], _STRIDES[k], sizes[k], policy)
        self.convolutions = _Stack(layers, name="convolutions")
        # Where most of the time goes: one matrix product, no neighbours.
        self.last = _linear(math.prod(output_shape[2:]), seed + 1 + len(_STRIDES))

    def call(self, latents: tf.Tensor) -> tf.Tensor:
        """Latents float32 `[B, L]` to float32 `[B, H, W, C, P]`."""
        hidden = self.convolutions(latents)
        outputs = self.last(tf.reshape(hidden, [-1, hidden.shape[-1]]))
        return tf.reshape(outputs, [-1, *self._output])


def _convolution(
    kind: type[keras.layers.Conv2D], num_outputs: int, stride: int, seed: int, policy: str
) -> keras.layers.Conv2D:
    """A layer of a kind of `keras.layers`, with a ReLU."""
    return kind(
        num_outputs,
        _KERNEL,
        stride,
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed),
        dtype=policy,
    )


def _sizes(image_shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Height and width before the first convolution and after each, when padded to "same"."""
    sizes = [tuple(image_shape[:2])]
    for stride in _STRIDES:
        sizes.append(tuple(-(-size // stride) for size in sizes[-1]))
    return sizes


def _crop(
    size: tuple[int, int], stride: int, target: tuple[int, int], policy: str
) -> list[keras.layers.Cropping2D]:
    """What is left over at the lower right where the encoder rounded a size up."""
    extra = [(0, stride * now - wanted) for now, wanted in zip(size, target, strict=True)]
    if extra == [(0, 0), (0, 0)]:
        return []
    return [keras.layers.Cropping2D(extra, dtype=policy)]


def _linear(num_outputs: int, seed: int) -> keras.layers.Dense:
    """In float32 always: likelihoods are made of its outputs."""
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(num_outputs, kernel_initializer=initializer, dtype="float32")
