"""Is noise white? Tests of what a true model would turn into standard normal noise.

The latents of a flow are that, and of an autoregressive model the normal scores: u = F(x_i | x_<i)
mapped by the inverse of the normal distribution function (Rosenblatt, "Remarks on a multivariate
transformation", 1952). Out-of-distribution images leave structure, whatever their likelihood is.
"""

import functools

import numpy as np
import tensorflow as tf
from scipy import special

TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")
"""What `tests` tells, in its order."""

_MIN_VARIANCE = 1e-6
"""Added to variances, and to mean power: an image without any has tests too, whatever rounding
leaves of its differences."""
_NUM_BINS = 2048
_REACH = 8.0
"""Bins of standardised values z, even in z / sqrt(1 + (z / 8)^2): 0.008 wide in the middle, and 1 %
of z at 25."""
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


def _anderson_darling(standardised):
    """By counting, which takes a third of the time of sorting: the bins are so narrow that A^2 is
    right to 0.01, or to 1 % where it is large."""
    count = standardised.shape[1:].num_elements()
    values = tf.reshape(standardised, [-1, count])
    squeezed = values * tf.math.rsqrt(1.0 + tf.square(values / _REACH))
    places = tf.cast((squeezed + _REACH) * (_NUM_BINS / (2.0 * _REACH)), tf.int32)
    places = tf.clip_by_value(places, 0, _NUM_BINS - 1)  # of what is no number too
    size = {"minlength": _NUM_BINS, "maxlength": _NUM_BINS}
    counts = tf.math.bincount(places, axis=-1, dtype=tf.float32, **size)
    below = tf.cumsum(counts, axis=-1) / count
    steps_below, steps_above, first_above = _steps()
    # Not as products of matrices, which some devices round.
    of_below = tf.reduce_sum(tf.square(below) * steps_below, -1)
    of_above = tf.reduce_sum(tf.square(1.0 - below) * steps_above, -1)
    return -count * (1.0 + first_above + of_below + of_above)


@functools.cache
def _steps():
    """What A^2 weighs squared shares by, at the bins' middles z_k.

    All values of bin k have z_k, and ranks from n C_(k-1) + 1 to n C_k: the sum over them of 2i - 1
    is n^2 (C_k^2 - C_(k-1)^2), and summed by parts A^2 is -n - n sum_k [C_k^2 (log Phi(z_k) - log
    Phi(z_(k+1))) + (1 - C_k)^2 (log Phi(-z_(k+1)) - log Phi(-z_k))] - n log Phi(-z_1).
    """
    squeezed = (np.arange(_NUM_BINS) + 0.5) * (2.0 * _REACH / _NUM_BINS) - _REACH
    middles = squeezed / np.sqrt(1.0 - np.square(squeezed / _REACH))
    below, above = special.log_ndtr(middles), special.log_ndtr(-middles)
    steps_below = -np.diff(below, append=0.0)
    steps_above = np.diff(above, append=above[-1])
    return np.float32(steps_below), np.float32(steps_above), np.float32(above[0])


def _flatness(standardised):
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


def _autocorrelation(standardised):
    pairs = (
        standardised[:, 1:] * standardised[:, :-1],
        standardised[:, :, 1:] * standardised[:, :, :-1],
    )
    found = [tf.reduce_mean(pair, [1, 2, 3]) for pair in pairs if pair.shape[1:].num_elements()]
    return sum(found) / len(found) if found else tf.zeros_like(standardised[:, 0, 0, 0])
