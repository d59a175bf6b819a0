"""Images that are computed: noise, gray levels, images with less contrast or damaged on purpose."""

import numpy as np
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


def changed_image(image: tf.Tensor, kind: str, strength: float) -> tf.Tensor:
    """A changed image, uint8, rounded with halves to even; a pure function of its arguments.

    Args:
      image: uint8 [H, W, C].
      kind: of `specs.REDUCTIONS`, `specs.CORRUPTIONS` or `specs.FLIPS`.
      strength: as these say.
    """
    if kind == "inverted":
        return NUM_PIXEL_VALUES - 1 - image
    if kind == "upside_down":
        return image[::-1, ::-1]
    if kind == "jpeg":
        return tf.image.adjust_jpeg_quality(image, int(strength))
    changed = _CHANGES[kind](image, strength)
    return tf.cast(tf.clip_by_value(tf.round(changed), 0.0, NUM_PIXEL_VALUES - 1.0), tf.uint8)


def _dimmed(image: tf.Tensor, factor: float, anchor: tf.Tensor | float = 0.0) -> tf.Tensor:
    """With the share `factor` of each value's distance to the anchor, by default black."""
    return anchor + factor * (tf.cast(image, tf.float32) - anchor)


def _contrast(image: tf.Tensor, factor: float) -> tf.Tensor:
    """With the share `factor` of each value's distance to the mean of the image."""
    return _dimmed(image, factor, tf.reduce_mean(tf.cast(image, tf.float32)))


def _blurred(image: tf.Tensor, sigma: float) -> tf.Tensor:
    """By a Gaussian, cut off at three standard deviations; edges go on as they end."""
    reach = max(1, round(3 * sigma))
    taps = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    taps = tf.constant(taps / taps.sum(), tf.float32)
    values = tf.cast(image, tf.float32)
    for axis in (0, 1):
        size = tf.shape(values)[axis]
        places = tf.range(size)[:, tf.newaxis] + tf.range(-reach, reach + 1)
        neighbours = tf.gather(values, tf.clip_by_value(places, 0, size - 1), axis=axis)
        values = tf.tensordot(neighbours, taps, [[axis + 1], [0]])
    return values


def _noisy(image: tf.Tensor, std: float) -> tf.Tensor:
    """With noise whose seed is the image itself, so that it does not depend on its place."""
    seed = tf.strings.to_hash_bucket_fast(tf.io.serialize_tensor(image), 2**31 - 1)
    noise = tf.random.stateless_normal(
        tf.shape(image), seed=tf.stack([tf.constant(_SEED, tf.int64), seed]), alg="philox"
    )
    return tf.cast(image, tf.float32) + std * noise


_CHANGES = {"contrast": _contrast, "dimmed": _dimmed, "blurred": _blurred, "noisy": _noisy}
