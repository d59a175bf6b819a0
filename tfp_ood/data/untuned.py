"""tf.data without the thread that tunes it, whose end a program may have to wait for."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A data set that does not tune itself while it is read: as many threads as there are cores.

    TensorFlow's thread for it sleeps twice as long each time, up to a minute, and (2.21) whoever
    lets go of the iterator sometimes waits until it wakes: for 39 s after 43 s of training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
