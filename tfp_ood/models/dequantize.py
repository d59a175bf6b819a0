"""Dequantization noise: uniform on [0, 1) for every pixel, so that a density can model integers.

log P(x) = log E_u p(x + u) >= E_u log p(x + u) with u uniform on [0, 1)^D (Theis et al. 2016,
"A note on the evaluation of generative models", section 3.1).
"""

import tensorflow as tf

_MANTISSA = 2**23 - 1
_ONE = 0x3F800000  # the bits of 1.0 in float32


def training_noise(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Fresh uniform noise on [0, 1), float32; the same for the same `seed` (int32 [2])."""
    return tf.random.stateless_uniform(shape, seed)


def content_noise(images: tf.Tensor, draw: tf.Tensor, seed: int) -> tf.Tensor:
    """Uniform noise on [0, 1) that depends on each image's own content.

    An image gets the same noise in whatever batch and order it comes, so that its likelihood is
    one number; different images get noise that is independent for practical purposes. Pixels are
    hashed to one number h per image, and that to one per pixel by multiply-add-shift, the upper
    bits of `(a h + b) mod 2^32` with a and b random per pixel (Dietzfelbinger 1996). All in int32,
    whose overflow is the modulus: next to the networks it costs nothing.

    Args:
      images: uint8 `[B, H, W, C]` with static H, W, C.
      draw: int32 `[]`, which of the noise draws of these images this is.
      seed: of all draws.

    Returns:
      float32 `[B, H, W, C]`, multiples of 2^-23.
    """
    num_dims = images.shape[1] * images.shape[2] * images.shape[3]

    def random_integers(number):
        key = tf.stack([seed, 3 * draw + number])
        bits = tf.random.stateless_uniform([num_dims], key, None, None, tf.int32)
        return tf.bitwise.bitwise_or(bits, 1)  # odd: a factor that loses nothing

    flat = tf.cast(tf.reshape(images, [-1, num_dims]), tf.int32)
    content = tf.reduce_sum(flat * random_integers(0), axis=1, keepdims=True)
    hashed = content * random_integers(1) + random_integers(2)
    # The upper 23 bits as the mantissa of a float in [1, 2).
    mantissa = tf.bitwise.bitwise_and(tf.bitwise.right_shift(hashed, 9), _MANTISSA)
    uniform = tf.bitcast(tf.bitwise.bitwise_or(mantissa, _ONE), tf.float32) - 1.0
    return tf.reshape(uniform, tf.shape(images))
