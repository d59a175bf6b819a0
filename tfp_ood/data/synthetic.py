"""Images that are computed: noise, constant gray levels, and images with less contrast."""

import tensorflow as tf

from tfp_ood.units import NUM_PIXEL_VALUES

_SEED = 20190209


def noise_image(index: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Image number `index` of uniform noise, uint8 `shape`; a pure function of its arguments."""
    # The algorithm is named so that the images stay the same on every device.
    values = tf.random.stateless_uniform(
        shape,
        seed=tf.stack([tf.constant(_SEED, tf.int64), tf.cast(index, tf.int64)]),
        minval=0,
        maxval=NUM_PIXEL_VALUES,
        dtype=tf.int32,
        alg="philox",
    )
    return tf.cast(values, tf.uint8)


def constant_image(index: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """The image whose every value is `index`, uint8 `shape`."""
    return tf.fill(shape, tf.cast(index, tf.uint8))


IMAGES = {"noise": noise_image, "constant": constant_image}
"""Name in `specs.SYNTHETIC` -> function of (index, shape)."""


def reduced_image(image: tf.Tensor, kind: str, factor: float) -> tf.Tensor:
    """An image with the share `factor` of its contrast, rounded to uint8, halves to even.

    Args:
      image: uint8, any shape.
      kind: of `specs.REDUCTIONS`: towards the mean of the image's values, or towards black.
      factor: from 0 to 1.
    """
    values = tf.cast(image, tf.float32)
    anchor = tf.reduce_mean(values) if kind == "contrast" else 0.0
    return tf.cast(tf.round(anchor + factor * (values - anchor)), tf.uint8)
