"""Batch normalization as a bijector, with a switch between training and everything else."""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from tfp_ood.models.flows.bijectors import ImageBijector, num_pixels

_EPSILON = 1e-6
_MOMENTUM = 0.95

# A context variable, because replicas of a distributed step are traced in threads of their own.
_uses_batch = contextvars.ContextVar("uses_batch", default=False)


@contextlib.contextmanager
def batch_statistics() -> Iterator[None]:
    """While it is open, `BatchNorm.forward` normalises by its input and learns from it.

    It acts where Python runs: open it around the tracing of a training graph. Tensors that were
    transformed inside must not be transformed again outside, or TFP's cache answers.
    """
    token = _uses_batch.set(True)
    try:
        yield
    finally:
        _uses_batch.reset(token)


class BatchNorm(ImageBijector):
    """`y = (x - mean) / sqrt(variance + epsilon)` per channel (Dinh et al. 2017, section 3.7).

    Under `batch_statistics()`, `forward` takes mean and variance from the batch (what it is given:
    the part of one replica, or of `models.halves`), gradients flow through them, and moving
    averages follow. Anywhere else, and in `inverse`, the moving averages are constants, so that the
    density of an image does not depend on its batch. They are of the weights that were trained;
    for other weights, such as averages of these, `estimate_moments` finds them anew.

    `tfb.BatchNormalization` is not used: its switch is fixed when it is made, its log-det takes the
    moments of the batch a second time, its constraint on the scale holds only after an optimizer's
    step, and its moving averages start at 0 and 1 instead of at the data.
    """

    def __init__(self, num_channels: int, dtype: tf.DType = tf.float32):
        super().__init__(dtype)
        self.mean = _moving_average(tf.zeros([num_channels], dtype), "mean")
        self.variance = _moving_average(tf.ones([num_channels], dtype), "variance")

    def initialize(self, x: tf.Tensor) -> None:
        """Sets the moving averages to the moments of the images `x` `[B, H, W, C]`."""
        mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
        self.mean.assign(mean)
        self.variance.assign(variance)

    estimate_moments = initialize

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = self._batch_moments(x) if _uses_batch.get() else (self.mean, self.variance)
        y = (x - mean) * tf.math.rsqrt(variance + _EPSILON)
        return y, _log_det(x, variance)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = y * tf.sqrt(self.variance + _EPSILON) + self.mean
        return x, -_log_det(y, self.variance)

    def _batch_moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
        for average, value in ((self.mean, mean), (self.variance, variance)):
            step = (1 - _MOMENTUM) * (tf.stop_gradient(value) - average)
            average.assign_add(step)
        return mean, variance


def _log_det(x: tf.Tensor, variance: tf.Tensor | tf.Variable) -> tf.Tensor:
    """`log|det dy/dx|` for images of the size of `x`, shape `[]`."""
    return -0.5 * num_pixels(x) * tf.reduce_sum(tf.math.log(variance + _EPSILON))


def _moving_average(value: tf.Tensor, name: str) -> tf.Variable:
    """A variable that each replica updates by itself; what is read and saved is their mean."""
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN,
        name=name,
    )
