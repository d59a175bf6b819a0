"""The size of images as PNG files, in a TensorFlow graph that an exported model takes with it."""

import tensorflow as tf

_NUM_PARTS = 8
"""Operations that share a batch, for as many threads."""


def png_bytes(images: tf.Tensor) -> tf.Tensor:
    """The size of each image as a PNG file at the best compression, a measure of complexity.

    Its operations wait for nothing, so that they run beside those of a model of the same images,
    on the CPU.

    Args:
      images: uint8 `[B, H, W, 1 or 3]`.

    Returns:
      float32 `[B]`.
    """
    with tf.device("CPU"):
        sizes = [
            tf.strings.length(tf.io.encode_png(images[part::_NUM_PARTS], compression=9))
            for part in range(_NUM_PARTS)
        ]
        index = tf.range(tf.shape(images)[0])
        places = [index[part::_NUM_PARTS] for part in range(_NUM_PARTS)]
        return tf.cast(tf.dynamic_stitch(places, sizes), tf.float32)
