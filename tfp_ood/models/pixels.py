"""Likelihoods of a pixel value given the numbers that a decoder network puts out for it.

Each kind says how many numbers it needs per pixel and channel, and has `log_prob`, in a form that
is fast and exact in float32 and has a cheap gradient, and `told`, which is for scoring, beside
`distribution`, the same as a TFP distribution.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units

tfd = tfp.distributions

_MAX = units.NUM_PIXEL_VALUES - 1
_MIN_LOG_SCALE, _MAX_LOG_SCALE = -3.0, 12.0
"""In pixel values. A logistic of scale 0.05 has all its mass in one of them; narrower ones gain
nothing. One that is a thousand times as wide as the range has none left for single values."""

_BLOCK = 16
"""Values that are summed together: the root of their number."""


class Told(NamedTuple):
    """What a distribution tells of values, float32 `[...]` each."""

    log_prob: tf.Tensor
    """Nats of each value."""
    below: tf.Tensor
    """The probability of all smaller ones."""
    mean: tf.Tensor
    """The expected value, 0 to 255."""


class CategoricalPixels:
    """A softmax over all 256 values."""

    num_parameters = units.NUM_PIXEL_VALUES
    """Numbers per pixel and channel: logits."""

    def log_prob(self, parameters: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Nats of each value; less than half the time of TF's fused cross entropy on CPUs.

        Args:
          parameters: float32 `[..., 256]`.
          values: int32 `[...]`, 0 to 255.

        Returns:
          float32 `[...]`.
        """
        chosen = tf.gather(parameters, values, batch_dims=values.shape.rank)
        return chosen - tf.reduce_logsumexp(parameters, axis=-1)

    def told(self, parameters: tf.Tensor, values: tf.Tensor) -> Told:
        """What a softmax tells; arguments as `log_prob`, which takes as long as all of this.

        On a CPU each pass over the 256 numbers costs: the sum of exponentials is read from the
        largest probability, and values are summed in blocks first.
        """
        mass = tf.nn.softmax(parameters)
        largest, largest_mass = tf.reduce_max(parameters, -1), tf.reduce_max(mass, -1)
        chosen = tf.gather(parameters, values, batch_dims=values.shape.rank)
        blocks = tf.reshape(mass, [*_shape(values), -1, _BLOCK])
        by_block, in_block = tf.reduce_sum(blocks, -1), tf.reduce_sum(blocks, -2)
        # In float32, which is exact for them: GPUs compare and divide no int32.
        numbers = tf.cast(values, tf.float32)
        block = tf.floor(numbers / _BLOCK)
        place = numbers - _BLOCK * block
        own = tf.gather(blocks, tf.cast(block, tf.int32), batch_dims=values.shape.rank)
        steps = tf.range(_BLOCK, dtype=tf.float32)
        return Told(
            log_prob=(chosen - largest) + tf.math.log(largest_mass),
            below=_first(by_block, block) + _first(own, place),
            mean=tf.reduce_sum(by_block * (_BLOCK * steps) + in_block * steps, -1),
        )

    def draw(self, parameters: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """The values at which the distribution function passes `uniform` `[...]`, int32 `[...]`.

        The block first and then the value in it: of 256 numbers only the exponential is taken.
        """
        mass = tf.nn.softmax(parameters)
        blocks = tf.reshape(mass, [*_shape(uniform), self.num_parameters // _BLOCK, _BLOCK])
        by_block = tf.reduce_sum(blocks, -1)
        block = passed(by_block, uniform)
        own = tf.gather(blocks, tf.cast(block, tf.int32), batch_dims=uniform.shape.rank)
        values = block * _BLOCK + passed(own, uniform - _first(by_block, block))
        return tf.cast(values, tf.int32)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        """Over int32 values."""
        return tfd.Categorical(logits=parameters)

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        """The likeliest values, int32 `[...]`."""
        return tf.argmax(parameters, axis=-1, output_type=tf.int32)


class LogisticPixels:
    """A logistic distribution, integrated over each value's bin.

    P(x) = s((x + 1/2 - m) / scale) - s((x - 1/2 - m) / scale) with s the sigmoid; 0 and 255 take
    the tails (Salimans et al., "PixelCNN++", 2017, equation 2, with one component).
    """

    num_parameters = 2
    """Numbers per pixel and channel: location, from -1 for black to 1 for white, and log scale,
    0 for a logistic as wide as the range's half."""

    def log_prob(self, parameters: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Nats of each value.

        With a and b the upper and lower end of the bin, s(a) - s(b) = s(a) s(-b) (1 - e^(b - a)),
        in which nothing cancels and b - a is known; the factors that an open end makes 1 are left
        out.

        Args:
          parameters: float32 `[..., 2]`.
          values: int32 `[...]`, 0 to 255.

        Returns:
          float32 `[...]`.
        """
        location, log_scale = _in_pixels(parameters)
        width = tf.exp(-log_scale)
        numbers = tf.cast(values, tf.float32)  # GPUs compare no int32
        centred = numbers - location
        below_top, above_bottom = numbers < _MAX, numbers > 0.0
        upper = tf.math.log_sigmoid((centred + 0.5) * width)
        lower = tf.math.log_sigmoid((0.5 - centred) * width)
        bin_mass = tfp.math.log1mexp(width)
        return (
            tf.where(below_top, upper, 0.0)
            + tf.where(above_bottom, lower, 0.0)
            + tf.where(below_top & above_bottom, bin_mass, 0.0)
        )

    def told(self, parameters: tf.Tensor, values: tf.Tensor) -> Told:
        """What a logistic tells; arguments as `log_prob`.

        The mean is that of the logistic before it is integrated over bins, with what is outside of
        [0, 255] moved to its ends: the integral of P(X > x) from 0 to 255. The bins would move it
        by less than half a value, and by nothing to speak of where the scale is a value or more.
        """
        location, log_scale = _in_pixels(parameters)
        numbers = tf.cast(values, tf.float32)
        lower_end = numbers - 0.5
        share = tf.sigmoid((lower_end - location) * tf.exp(-log_scale))
        # Of a scale of a million values the difference below keeps three digits; of more, none.
        width = tf.maximum(tf.exp(-log_scale), 1e-6)
        above_bottom = tf.nn.softplus(location * width)
        above_top = tf.nn.softplus((location - _MAX) * width)
        mean = tf.clip_by_value((above_bottom - above_top) / width, 0.0, float(_MAX))
        below = tf.where(numbers > 0.0, share, 0.0)
        return Told(self.log_prob(parameters, values), below, mean)

    def draw(self, parameters: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """The values at which the distribution function passes `uniform` `[...]`, int32 `[...]`."""
        location, log_scale = _in_pixels(parameters)
        logit = tf.math.log(uniform) - tf.math.log1p(-uniform)
        values = tf.round(location + tf.exp(log_scale) * logit)
        return tf.cast(tf.clip_by_value(values, 0.0, float(_MAX)), tf.int32)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        """Over float32 values."""
        location, log_scale = _in_pixels(parameters)
        # QuantizedDistribution gives value x the mass of (x - 1, x].
        logistic = tfd.Logistic(location - 0.5, tf.exp(log_scale))
        return tfd.QuantizedDistribution(logistic, low=0.0, high=float(_MAX))

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        """The values at the location, int32 `[...]`."""
        location, _ = _in_pixels(parameters)
        return tf.cast(tf.clip_by_value(tf.round(location), 0.0, float(_MAX)), tf.int32)


LIKELIHOODS = {"categorical": CategoricalPixels, "logistic": LogisticPixels}
"""By the name in the config."""


def _first(numbers: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The sum of the first ones, as many as `count` `[...]` says, of numbers `[..., _BLOCK]`."""
    mask = tf.range(_BLOCK, dtype=tf.float32) < count[..., tf.newaxis]
    return tf.reduce_sum(tf.where(mask, numbers, 0.0), axis=-1)


def passed(mass: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """The place in `mass` `[..., K]` at which its sum passes `uniform` `[...]`: whole float32."""
    below = tf.cast(tf.cumsum(mass, axis=-1) <= uniform[..., tf.newaxis], tf.float32)
    # The whole sum may be a rounding error below 1.
    return tf.minimum(tf.reduce_sum(below, axis=-1), mass.shape[-1] - 1.0)


def _shape(tensor: tf.Tensor) -> list[int | tf.Tensor]:
    """Sizes, as numbers where they are known before the graph runs."""
    dynamic = tf.unstack(tf.shape(tensor))
    return [d if s is None else s for s, d in zip(tensor.shape, dynamic, strict=True)]


def _in_pixels(parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Location and log scale in units of pixel values."""
    half = _MAX / 2
    location, log_scale = tf.unstack(parameters, axis=-1)
    log_scale = log_scale + tf.math.log(half)
    log_scale = tf.clip_by_value(log_scale, _MIN_LOG_SCALE, _MAX_LOG_SCALE)
    return half * (1.0 + location), log_scale
