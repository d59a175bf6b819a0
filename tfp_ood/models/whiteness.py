"""Is noise white? Tests of what a true model would turn into standard normal noise.

The latents of a flow are that, and of an autoregressive model the normal scores: u = F(x_i | x_<i)
mapped by the inverse of the normal distribution function (Rosenblatt, "Remarks on a multivariate
transformation", 1952). Out-of-distribution images leave structure, whatever their likelihood is.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import special

from tfp_ood.models import products

TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")
"""What `tests` tells, in its order."""

_MIN_VARIANCE = 1e-6
"""Added to variances, and to mean power: an image without any has tests too, whatever rounding
leaves of its differences."""
_NUM_POINTS = 1024
_BLOCK = 32
"""Points that are summed together: the root of their number."""
_REACH = 8.0
_FARTHEST = 60.0
"""The grid of standardised values z: even in z / sqrt(1 + (z / 8)^2), 0.016 apart in the middle and
further where z is larger, up to more than a value among 3,600 can have."""
_EDGE = 2.0**-24
"""How near to 0 and 1 a uniform value may come: 5.3 standard deviations."""


def tests(noise: tf.Tensor, part: str) -> dict[str, tf.Tensor]:
    """Statistics of each image's noise, with what they are of standard normal white noise.

    Args:
      noise: float32 `[B, H, W, C]` with static H, W, C.
      part: what the noise is of, such as "level_1"; it ends the names.

    Returns:
      NAME.PART -> float32 `[B]`, without unit:
      anderson_darling: A^2 of the n values, standardised by their own mean and deviation; 0.4.
        A^2 = -n - 1/n sum_i (2i - 1) [log Phi(z_(i)) + log Phi(-z_(n+1-i))] (Anderson & Darling,
        "A test of goodness of fit", 1954).
      flatness: standard deviation over mean of the power spectrum, the squared 2-D Fourier
        transform of each channel without its mean; little above 1, and more where few
        frequencies prevail. Over half of the frequencies, of which the others are a mirror image.
      autocorrelation: mean product of standardised neighbours in rows and in columns; 0.
      mean: of the values; 0.
      kurtosis: mean fourth power of the standardised values; 3.
    """
    mean, variance = tf.nn.moments(noise, axes=[1, 2, 3], keepdims=True)
    standardised = (noise - mean) * tf.math.rsqrt(variance + _MIN_VARIANCE)
    found = (
        _anderson_darling(standardised),
        _flatness(standardised),
        _autocorrelation(standardised),
        mean[:, 0, 0, 0],
        tf.reduce_mean(tf.square(tf.square(standardised)), [1, 2, 3]),
    )
    return {f"{name}.{part}": values for name, values in zip(TESTS, found, strict=True)}


def normal_scores(below: tf.Tensor, mass: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """Standard normal noise from a discrete distribution's values.

    Args:
      below: the probability of all smaller values, float32.
      mass: that of the value itself.
      noise: uniform on [0, 1), where in the value's share of probability to be.
    """
    uniform = tf.clip_by_value(below + mass * noise, _EDGE, 1.0 - _EDGE)
    return tf.math.ndtri(uniform)


@tf.custom_gradient
def _anderson_darling(
    standardised: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """By counting, which takes half the time of sorting: n times the integral of (C - Phi)^2 over
    log Phi - log(1 - Phi), with C the share of values below. A value between two points of the grid
    counts for both, by how near they are, so that A^2 is continuous. It is too small by 0.005, and
    right to 0.002 beside that, or to 2 % where it is large. Counting has no gradient: where scores
    are differentiated for the likelihood's sake, this part has zeros."""
    count = standardised.shape[1:].num_elements()
    ratio = tf.reshape(standardised, [-1, count]) / _REACH
    middle = (_NUM_POINTS - 1) / 2.0
    place = ratio * tf.math.rsqrt(1.0 + tf.square(ratio)) * middle + middle
    # As int64, since GPUs have no arithmetic for int32, and not by tf.math.bincount, which they
    # refuse where operations have to be deterministic. What is no number has a place too.
    point = tf.clip_by_value(tf.cast(place, tf.int64), 0, _NUM_POINTS - 2)
    upper = place - tf.cast(point, tf.float32)
    num_images = tf.shape(ratio, tf.int64)[0]
    point += _NUM_POINTS * tf.range(num_images)[:, tf.newaxis]
    at_point, at_next = (
        tf.reshape(
            tf.math.unsorted_segment_sum(share, point, num_images * _NUM_POINTS), [-1, _NUM_POINTS]
        )
        for share in (1.0 - upper, upper)
    )
    # No value is at the last point, so that nothing comes round.
    counts = at_point + tf.roll(at_next, 1, axis=1)
    expected, weights = _grid()
    difference = _sums(counts) / count - expected
    statistic = count * tf.reduce_sum(tf.square(difference) * weights, -1)
    return statistic, lambda upstream: tf.zeros_like(standardised)


def _sums(counts: tf.Tensor) -> tf.Tensor:
    """Of the first to each; as products of matrices in a fifth of the time of `tf.cumsum`."""
    blocks = tf.reshape(counts, [-1, _BLOCK])
    in_block = products.matmul(blocks, tf.constant(np.triu(np.ones([_BLOCK] * 2, np.float32))))
    in_block = tf.reshape(in_block, [-1, _NUM_POINTS // _BLOCK, _BLOCK])
    before = tf.cumsum(in_block[:, :, -1:], axis=1, exclusive=True)
    return tf.reshape(in_block + before, [-1, _NUM_POINTS])


@functools.cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Phi between the points of the grid, and the steps of log Phi - log(1 - Phi) around there."""
    between = (np.arange(_NUM_POINTS) + 0.5) * (2.0 * _REACH / (_NUM_POINTS - 1)) - _REACH
    end = _FARTHEST / np.sqrt(1.0 + (_FARTHEST / _REACH) ** 2)
    between = np.clip(between, -end, end)
    z = between / np.sqrt(1.0 - np.square(between / _REACH))
    logit = special.log_ndtr(z) - special.log_ndtr(-z)
    # Below the first is nothing but the tail; above the last all values are counted.
    steps = np.concatenate([[logit[1] - logit[0] + 2.0], logit[2:] - logit[:-2], [0.0]]) / 2.0
    return np.float32(special.ndtr(z)), np.float32(steps)


def _flatness(standardised: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = standardised.shape
    if height * width == 1:
        return tf.zeros_like(standardised[:, 0, 0, 0])
    spectrum = tf.signal.rfft2d(tf.transpose(standardised, [0, 3, 1, 2]))
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    frequencies = height * (width // 2 + 1)
    # Without frequency 0, the channel's mean.
    power = tf.reshape(power, [-1, standardised.shape[3], frequencies])[..., 1:]
    mean, variance = tf.nn.moments(power, axes=[1, 2])
    return tf.sqrt(variance) / (mean + _MIN_VARIANCE)


def _autocorrelation(standardised: tf.Tensor) -> tf.Tensor:
    pairs = (
        standardised[:, 1:] * standardised[:, :-1],
        standardised[:, :, 1:] * standardised[:, :, :-1],
    )
    found = [tf.reduce_mean(pair, [1, 2, 3]) for pair in pairs if pair.shape[1:].num_elements()]
    return sum(found) / len(found) if found else tf.zeros_like(standardised[:, 0, 0, 0])
