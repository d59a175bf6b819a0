"""Dequantization noise: uniform on [0, 1) for every pixel, so that a density can model integers.

log P(x) = log E_u p(x + u) >= E_u log p(x + u) with u uniform on [0, 1)^D (Theis et al. 2016,
"A note on the evaluation of generative models", section 3.1).
"""

import tensorflow as tf

_PRIME = 2**31 - 1


def training_noise(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Fresh uniform noise on [0, 1), float32; the same for the same `seed` (int32 [2])."""
    return tf.random.stateless_uniform(shape, seed)


def content_noise(images: tf.Tensor, draw: tf.Tensor, seed: int) -> tf.Tensor:
    """Uniform noise on [0, 1) that depends on each image's own content.

    An image gets the same noise in whatever batch and order it comes, so that its likelihood is
    one number; different images get noise that is independent for practical purposes. Pixels are
    hashed to one number h per image, and that to one per pixel by `(a h + b) mod (2^31 - 1)` with
    a and b random per pixel: pairwise independent (Carter & Wegman 1979). All in int64, which
    holds the products and has kernels on every device.

    Args:
      images: uint8 `[B, H, W, C]` with static H, W, C.
      draw: int32 `[]`, which of the noise draws of these images this is.
      seed: of all draws.

    Returns:
      float32 `[B, H, W, C]`, multiples of 2^-24.
    """
    num_dims = images.shape[1] * images.shape[2] * images.shape[3]

    def random_integers(number):
        key = tf.stack([seed, 3 * draw + number])
        return tf.random.stateless_uniform([num_dims], key, 1, _PRIME, tf.int64)

    flat = tf.cast(tf.reshape(images, [-1, num_dims]), tf.int64)
    content = tf.reduce_sum(flat * random_integers(0), axis=1, keepdims=True) % _PRIME
    hashed = (content * random_integers(1) + random_integers(2)) % _PRIME
    # The 24 bits that a float32 in [0, 1) holds exactly.
    bits = tf.bitwise.right_shift(hashed, tf.constant(7, tf.int64))
    return tf.reshape(tf.cast(bits, tf.float32) * 2.0**-24, tf.shape(images))
