"""The discretized mixture of logistics of PixelCNN++ as a distribution over pixels."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.models.pixels import passed

tfd = tfp.distributions

_MAX = units.NUM_PIXEL_VALUES - 1
_HALF = _MAX / 2  # pixel values 0 to 255 are -1 to 1 for the mixture
_MAX_LOG_SCALE = 7.0  # from a tenth of a bin to a thousand times the range
_MIN_NOISE = 2.0**-24


class LogisticMixture(tfd.Distribution):
    """K logistics per pixel, integrated over each value's bin (Salimans et al., 2017, section 2.1).

    P(x) = sum_k pi_k prod_c [s((x_c + 1/2 - m_kc) / s_kc) - s((x_c - 1/2 - m_kc) / s_kc)] with s
    the sigmoid, and where the bins of 0 and 255 take the tails. The location of green depends on
    the pixel's red, and that of blue on both, linearly: equation 3.

    It is `MixtureSameFamily` of `QuantizedDistribution` of `Logistic`, in a form with a third of
    the operations, and with gradients that are finite wherever a pixel lies.

    Args:
      outputs: float32 `[..., num_parameters(K, C)]`, what the network puts out.
      num_channels: C, 1 or 3.
    """

    def __init__(self, outputs: tf.Tensor, num_channels: int, name: str = "LogisticMixture"):
        arguments = dict(locals())
        self._num_channels = num_channels
        num_mixtures = outputs.shape[-1] // num_parameters(1, num_channels)
        self.logits, rest = tf.split(outputs, [num_mixtures, -1], axis=-1)
        shape = tf.concat([tf.shape(rest)[:-1], [-1, num_mixtures]], 0)
        rest = tf.ensure_shape(
            tf.reshape(rest, shape),
            [*rest.shape[:-1], num_parameters(1, num_channels) - 1, num_mixtures],
        )
        sizes = [num_channels, num_channels, _num_coefficients(num_channels)]
        self.locations, log_scales, coefficients = tf.split(rest, sizes, axis=-2)
        self.log_scales = tf.clip_by_value(log_scales, -_MAX_LOG_SCALE, _MAX_LOG_SCALE)
        self.coefficients = tf.tanh(coefficients)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=arguments,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"outputs": tfp.util.ParameterProperties(event_ndims=1)}

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._num_channels])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._num_channels])

    def component_locations(self, pixels: tf.Tensor) -> tf.Tensor:
        """Locations `[..., C, K]` given the channels before each; pixels `[..., C]` in [-1, 1]."""
        if self._num_channels == 1:
            return self.locations
        red, green, _ = tf.unstack(pixels[..., tf.newaxis], axis=-2)
        green_red, blue_red, blue_green = tf.unstack(self.coefficients, axis=-2)
        of_green = green_red * red
        of_blue = blue_red * red + blue_green * green
        return self.locations + tf.stack([tf.zeros_like(of_green), of_green, of_blue], axis=-2)

    def _log_prob(self, value: tf.Tensor) -> tf.Tensor:
        """Nats of pixels `[..., C]` with values 0 to 255: `[...]`."""
        logs, _ = self._of_components(tf.cast(value, tf.float32))
        joint = tf.reduce_sum(logs, axis=-2) + self.logits
        return tf.reduce_logsumexp(joint, -1) - tf.reduce_logsumexp(self.logits, -1)

    def conditionals(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Each channel's distribution given the channels before it, at pixels `[..., C]`.

        The mixture's weights of a channel are those given the channels before:
        P(k | x_<c) is proportional to pi_k prod_(c' < c) P(x_c' | k, x_<c').

        Args:
          value: 0 to 255, `[..., C]`.

        Returns:
          log P(x_c | x_<c), whose sum over channels is `log_prob`, in nats, and the probability
          P(X_c < x_c | x_<c) of all smaller values; float32 `[..., C]` each.
        """
        value = tf.cast(value, tf.float32)
        logs, lower_ends = self._of_components(value)
        below = tf.where(value[..., tf.newaxis] > 0.0, tf.sigmoid(lower_ends), 0.0)
        log_probs, shares, joint = [], [], self.logits
        for channel in range(self._num_channels):
            weights = tf.nn.log_softmax(joint)
            log_probs.append(tf.reduce_logsumexp(weights + logs[..., channel, :], -1))
            shares.append(tf.reduce_sum(tf.exp(weights) * below[..., channel, :], -1))
            joint += logs[..., channel, :]
        return tf.stack(log_probs, -1), tf.stack(shares, -1)

    def _of_components(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of each channel under each logistic, given the channels before, the nats of its value and
        where the lower end of the value's bin is in the standard logistic: `[..., C, K]` each.

        With a and b the upper and the lower end of the bin, s(a) - s(b) = s(a) s(-b) (1 - e^(b-a)),
        in which nothing cancels and a - b depends on the scale alone; the factors that an open end
        makes 1 are left out.
        """
        pixels = _scaled(value)
        centred = pixels[..., tf.newaxis] - self.component_locations(pixels)
        inverse_scales = tf.exp(-self.log_scales)
        upper = tf.nn.softplus((-0.5 / _HALF - centred) * inverse_scales)
        lower_ends = (-0.5 / _HALF + centred) * inverse_scales
        lower = tf.nn.softplus(lower_ends)
        width = tf.math.log(-tf.math.expm1(inverse_scales * (-1.0 / _HALF)))
        # Weights of 0 and 1 rather than a choice: all terms are finite.
        below_top = tf.cast(value < _MAX, tf.float32)[..., tf.newaxis]
        above_bottom = tf.cast(value > 0.0, tf.float32)[..., tf.newaxis]
        logs = below_top * (above_bottom * width - upper) - above_bottom * lower
        return logs, lower_ends

    def draw(self, noise: tf.Tensor, temperature: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Pixels made of given noise.

        Args:
          noise: uniform on [0, 1), `[..., 1 + C]`: for the choice of a logistic, and its values.
          temperature: factor of the logistics' scales.

        Returns:
          int32 `[..., C]`.
        """
        chosen = choose(self.logits, noise[..., 0])
        uniform = tf.maximum(noise[..., 1:], _MIN_NOISE)
        logistic = tf.math.log(uniform) - tf.math.log1p(-uniform)
        pick = tf.one_hot(chosen, self.logits.shape[-1])[..., tf.newaxis, :]
        spread = tf.exp(tf.reduce_sum(self.log_scales * pick, -1)) * logistic * temperature
        values = tf.zeros_like(spread)
        # A location depends on the channels before it: one round for each.
        for _ in range(self._num_channels):
            locations = tf.reduce_sum(self.component_locations(_scaled(values)) * pick, -1)
            values = tf.round((locations + spread + 1.0) * _HALF)
            values = tf.clip_by_value(values, 0.0, float(_MAX))
        return tf.cast(values, tf.int32)

    def _sample_n(
        self, n: np.integer | tf.Tensor, seed: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        shape = tf.concat([[n], tf.shape(self.logits)[:-1], [1 + self._num_channels]], 0)
        noise = tf.random.stateless_uniform(shape, tfp.random.sanitize_seed(seed))
        return tf.cast(self.draw(noise), tf.float32)


def num_parameters(num_mixtures: int, num_channels: int) -> int:
    """Numbers per pixel: logits, locations, log scales and coefficients between channels."""
    return num_mixtures * (1 + 2 * num_channels + _num_coefficients(num_channels))


def choose(logits: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Draws from categorical distributions `[..., K]` by their inverse cdf at `uniform` `[...]`:
    int32."""
    return tf.cast(passed(tf.nn.softmax(logits), uniform), tf.int32)


def spread_locations(num_mixtures: int, num_channels: int) -> tf.Tensor:
    """Parameters `[num_parameters]` of a mixture to start from: logistics over the whole range."""
    locations = tf.linspace(-1.0, 1.0, 2 * num_mixtures + 1)[1::2]
    log_scales = tf.fill([num_mixtures * num_channels], -math.log(num_mixtures))
    return tf.concat(
        [
            tf.zeros([num_mixtures]),
            tf.tile(locations, [num_channels]),
            log_scales,
            tf.zeros([num_mixtures * _num_coefficients(num_channels)]),
        ],
        0,
    )


def _num_coefficients(num_channels: int) -> int:
    return num_channels * (num_channels - 1) // 2


def _scaled(values: tf.Tensor) -> tf.Tensor:
    return values / _HALF - 1.0
