"""Is noise white? Tests of what a true model would turn into standard normal noise.

The latents of a flow are that, and of an autoregressive model the normal scores: u = F(x_i | x_<i)
mapped by the inverse of the normal distribution function (Rosenblatt, "Remarks on a multivariate
transformation", 1952). Out-of-distribution images leave structure, whatever their likelihood is.
"""

import math

import tensorflow as tf

TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")
"""What `tests` tells, in its order."""

_MIN_VARIANCE = 1e-6
"""Added to variances, and to mean power: an image without any has tests too, whatever rounding
leaves of its differences."""
_FAR = 9.0
"""Deviations from which on tails are taken from their series."""
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
    count = standardised.shape[1:].num_elements()
    ordered = tf.sort(tf.reshape(standardised, [-1, count]), axis=-1)
    weights = (2.0 * tf.range(1.0, count + 1.0) - 1.0) / count
    below, above = _log_cdfs(ordered)
    logs = below + above[:, ::-1]
    # Beside the -1 that each term is on average, so that n terms keep float32's digits.
    return -tf.reduce_sum(weights * logs + 1.0, -1)


def _log_cdfs(z):
    """log Phi(z) and log Phi(-z), from the smaller of the two: half the time of asking TFP for
    each."""
    size = tf.abs(z)
    tail = 0.5 * tf.math.erfc(size * math.sqrt(0.5))
    far = tf.maximum(size, _FAR)
    square = tf.square(far)
    # The first terms of the asymptotic series, where erfc is near float32's end.
    series = -0.5 * square - tf.math.log(far * math.sqrt(2 * math.pi)) - 1.0 / square
    of_tail, of_rest = tf.where(size < _FAR, tf.math.log(tail), series), tf.math.log1p(-tail)
    is_low = z < 0.0
    return tf.where(is_low, of_tail, of_rest), tf.where(is_low, of_rest, of_tail)


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
