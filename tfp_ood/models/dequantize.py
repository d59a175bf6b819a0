"""Dequantization noise: uniform on [0, 1) for every pixel, so that a density can model integers.

log P(x) = log E_u p(x + u) >= E_u log p(x + u) with u uniform on [0, 1)^D (Theis et al. 2016,
"A note on the evaluation of generative models", section 3.1).
"""

import tensorflow as tf

_ONE = 0x3F800000  # the bits of 1.0 in float32


def training_noise(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Fresh uniform noise on [0, 1), float32; the same for the same `seed` (int32 [2])."""
    return tf.random.stateless_uniform(shape, seed)


def content_noise(images: tf.Tensor, draw: tf.Tensor, seed: int) -> tf.Tensor:
    """Uniform noise on [0, 1) that depends on each image's own content.

    An image gets the same noise in whatever batch and order it comes, so that its likelihood is
    one number; different images get noise that is independent for practical purposes. Pixels are
    hashed to one number h per image, and that to one per pixel by multiply-add-shift, the upper
    bits of `(a h + b) mod 2^32` with a and b random per pixel (Dietzfelbinger 1996). In uint32,
    whose overflow is the modulus, and sums in int64: of these TensorFlow has kernels on GPUs, where
    it computes int32 in the host's memory. Next to the networks it costs nothing.

    Args:
      images: uint8 `[B, H, W, C]` with static H, W, C.
      draw: int32 `[]`, which of the noise draws of these images this is.
      seed: of all draws.

    Returns:
      float32 `[B, H, W, C]`, multiples of 2^-23.
    """
    uniform = _content_uniform(images, images.shape[1:].num_elements(), draw, seed)
    return tf.reshape(uniform, tf.shape(images))


def content_normal(images: tf.Tensor, num_dims: int, draw: tf.Tensor, seed: int) -> tf.Tensor:
    """Standard normal noise that depends on each image's own content, as `content_noise` does.

    Args:
      images: uint8 `[B, H, W, C]` with static H, W, C.
      num_dims: L, numbers per image.
      draw: int32 `[]`, which of the noise draws of these images this is.
      seed: of all draws.

    Returns:
      float32 `[B, L]`; of 2^23 values, the outermost at 5.3 standard deviations.
    """
    # The middle of each step of 2^-23, so that none is at an infinite end.
    return tf.math.ndtri(_content_uniform(images, num_dims, draw, seed) + 2.0**-24)


def _content_uniform(images: tf.Tensor, num_dims: int, draw: tf.Tensor, seed: int) -> tf.Tensor:
    """`content_noise` of any number of dimensions: `[B, num_dims]`."""

    def random_integers(number: int, count: int) -> tf.Tensor:
        key = tf.stack([seed, 3 * draw + number])
        bits = tf.random.stateless_uniform([count], key, None, None, tf.uint32)
        return tf.bitwise.bitwise_or(bits, 1)  # odd: a factor that loses nothing

    num_pixels = images.shape[1:].num_elements()
    flat = tf.cast(tf.reshape(images, [-1, num_pixels]), tf.int64)
    factors = tf.cast(random_integers(0, num_pixels), tf.int64)
    content = tf.reduce_sum(flat * factors, axis=1, keepdims=True)
    content = tf.cast(tf.bitwise.bitwise_and(content, 2**32 - 1), tf.uint32)
    hashed = content * random_integers(1, num_dims) + random_integers(2, num_dims)
    # The upper 23 bits as the mantissa of a float in [1, 2).
    mantissa = tf.bitwise.right_shift(hashed, 9)
    return tf.bitcast(tf.bitwise.bitwise_or(mantissa, _ONE), tf.float32) - 1.0
