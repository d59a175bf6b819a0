"""Bijectors of image flows, each mapping images towards the latent in its `forward`.

Events are images `[H, W, C]`; log-dets are nats per image, shape `[B]`, or `[]` where they do not
depend on the image. Composed with TFP's own (`Chain`, `Invert`, `Split`, `JointMap`, ...).

[1] Kingma & Dhariwal, "Glow", 2018.  [2] Dinh et al., "RealNVP", 2017.
"""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


class Chain(tfb.Chain.__bases__[0]):  # what tfb.Chain makes of parts that are no tensors
    """TFP's composition, told from others by identity, as its parts are.

    TFP's own is hashed by all that it holds, twice at every level of nesting, whenever its cache is
    asked: half of the time of an eager call, and a quarter of the time of tracing a graph.
    """

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class ImageBijector(tfb.Bijector):
    """A bijector of images that computes value and log-det in one pass.

    Subclasses define `_forward_and_log_det(x) -> y, log|det dy/dx|` and
    `_inverse_and_log_det(y) -> x, log|det dx/dy|`. TFP asks for the value and for the log-det
    apart; the log-det waits in TFP's bijector cache meanwhile, so that networks run once.
    """

    def __init__(self, dtype: tf.DType = tf.float32, name: str | None = None):
        super().__init__(forward_min_event_ndims=3, dtype=dtype, name=name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, tfp.util.ParameterProperties]:
        return {}

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        y, log_det = self._forward_and_log_det(x)
        self._cache.forward_attributes(x)["ildj"] = -log_det
        return y

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        x, log_det = self._inverse_and_log_det(y)
        self._cache.inverse_attributes(y)["ildj"] = log_det
        return x

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self._forward_and_log_det(x)[1]

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return self._inverse_and_log_det(y)[1]


class Squeeze(ImageBijector):
    """Turns 2x2 pixels into channels, `[H, W, C] -> [H/2, W/2, 4C]` ([2], section 3.6)."""

    # By reshape and transpose: a third of the time of tf.nn.space_to_depth on a CPU.
    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = x.shape[-3] // 2, x.shape[-2] // 2, x.shape[-1]
        y = tf.reshape(x, [-1, height, 2, width, 2, channels])
        y = tf.transpose(y, [0, 1, 3, 2, 4, 5])
        return tf.reshape(y, [-1, height, width, 4 * channels]), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = y.shape[-3], y.shape[-2], y.shape[-1] // 4
        x = tf.reshape(y, [-1, height, width, 2, 2, channels])
        x = tf.transpose(x, [0, 1, 3, 2, 4, 5])
        return tf.reshape(x, [-1, 2 * height, 2 * width, channels]), tf.zeros([], y.dtype)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        *batch, height, width, channels = shape
        return tf.TensorShape([*batch, height // 2, width // 2, channels * 4])

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        *batch, height, width, channels = shape
        return tf.TensorShape([*batch, height * 2, width * 2, channels // 4])

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.concat([shape[:-3], shape[-3:-1] // 2, shape[-1:] * 4], 0)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.concat([shape[:-3], shape[-3:-1] * 2, shape[-1:] // 4], 0)


class Checkerboard(ImageBijector):
    """Reorders the channels of a squeezed image: its halves are the colours of a checkerboard.

    A squeeze leaves each 2x2 cell as channels (top left, top right, bottom left, bottom right).
    With the second and the last exchanged, the first half is the falling diagonal of the cell and
    the second half the rising one ([2], figure 3, left). It is its own inverse.
    """

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        top_left, top_right, bottom_left, bottom_right = tf.split(x, 4, axis=-1)
        y = tf.concat([top_left, bottom_right, bottom_left, top_right], -1)
        return y, tf.zeros([], x.dtype)

    _inverse_and_log_det = _forward_and_log_det


class ActNorm(ImageBijector):
    """`y = (x + bias) * exp(log_scale)`, a scale and a bias per channel ([1], section 3.1).

    `initialize` sets both from images so that the output has mean 0 and variance 1 per channel.
    Nothing else does: no batch that happens to come first changes the model.
    """

    def __init__(self, num_channels: int, dtype: tf.DType = tf.float32):
        super().__init__(dtype)
        self.bias = tf.Variable(tf.zeros([num_channels], dtype), name="bias")
        self.log_scale = tf.Variable(tf.zeros([num_channels], dtype), name="log_scale")

    def initialize(self, x: tf.Tensor) -> None:
        """Fits bias and scale to the images `x` `[B, H, W, C]`."""
        mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
        self.bias.assign(-mean)
        # A constant channel keeps a finite scale.
        self.log_scale.assign(-0.5 * tf.math.log(variance + 1e-6))

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (x + self.bias) * tf.exp(self.log_scale), self.log_det(x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return y * tf.exp(-self.log_scale) - self.bias, -self.log_det(y)

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        """`log|det dy/dx|` for images of the size of `x`, shape `[]`."""
        return num_pixels(x) * tf.reduce_sum(self.log_scale)


def factor_out(image_shape: tuple[int, int, int], rest: tfb.Bijector) -> tfb.Bijector:
    """Ends the second half of the channels here, as latents, and sends the first through `rest`.

    Args:
      image_shape: `[H, W, C]` of the incoming event.
      rest: bijector from `[H, W, C - C//2]` to a vector of as many dimensions.

    Returns:
      A bijector from `[H, W, C]` to a vector `[H * W * C]`, out of TFP's own ([2], section 3.6).
    """
    height, width, channels = image_shape
    sizes = [channels - channels // 2, channels // 2]
    flatten = flatten_image((height, width, sizes[1]))
    return Chain(
        [
            tfb.Invert(tfb.Split([height * width * size for size in sizes])),
            tfb.JointMap([rest, flatten]),
            tfb.Split(sizes),
        ],
        name="factor_out",
    )


def level_shapes(image_shape: tuple[int, int, int], num_levels: int) -> list[tuple[int, int, int]]:
    """Shapes of the latents that each level ends, if all levels but the last `factor_out` half.

    Args:
      image_shape: `[H, W, C]` of the flow's event.
      num_levels: each begins with a `Squeeze`.

    Returns:
      The first level's first, which is last in the latent vector.
    """
    height, width, channels = image_shape[0] // 2, image_shape[1] // 2, image_shape[2] * 4
    if num_levels == 1:
        return [(height, width, channels)]
    kept = channels - channels // 2
    rest = level_shapes((height, width, kept), num_levels - 1)
    return [(height, width, channels // 2), *rest]


def flatten_image(image_shape: tuple[int, int, int]) -> tfb.Bijector:
    """`[H, W, C]` to `[H * W * C]`."""
    return tfb.Reshape(event_shape_out=[int(np.prod(image_shape))], event_shape_in=image_shape)


def num_pixels(x: tf.Tensor) -> tf.Tensor:
    """Height times width of images `[..., H, W, C]`, as a number of their type."""
    return tf.constant(x.shape[-3] * x.shape[-2], x.dtype)
