"""Mutated images, to train a background model on: their texture is general, their content is gone.

Ren et al., "Likelihood ratios for out-of-distribution detection", 2019, section 3: each value is
replaced, with a rate of 0.1 to 0.3, by one that is drawn evenly.
"""

from collections.abc import Mapping

import tensorflow as tf

from tfp_ood import units


def mutated(batches: tf.data.Dataset, rate: float, seed: int, first_step: int) -> tf.data.Dataset:
    """A stream of training batches with mutated images.

    Args:
      batches: dicts with "image", uint8 `[B, H, W, C]`.
      rate: the share of values that are replaced, perhaps by the same one.
      seed: of what is replaced, and by what.
      first_step: the number of the first batch: what is mutated in a batch depends on its number.
    """

    def mutate(step: tf.Tensor, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        images = batch["image"]
        where, what = tf.unstack(
            tf.random.experimental.stateless_split(tf.stack([tf.constant(seed, tf.int64), step]), 2)
        )
        shape = tf.shape(images)
        drawn = tf.random.stateless_uniform(shape, what, 0, units.NUM_PIXEL_VALUES, dtype=tf.int32)
        is_replaced = tf.random.stateless_uniform(shape, where) < rate
        return {**batch, "image": tf.where(is_replaced, tf.cast(drawn, images.dtype), images)}

    numbered = batches.enumerate(first_step)
    return numbered.map(mutate, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
