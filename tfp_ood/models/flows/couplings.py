"""Coupling layers: half of the channels changed by a network of the other half.

[1] Kingma & Dhariwal, "Glow", 2018.  [2] Dinh et al., "RealNVP", 2017.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfp_ood.models.flows.bijectors import ImageBijector

Network = Callable[[tf.Tensor], tf.Tensor]

LogScale = Callable[[tf.Tensor], tf.Tensor]
"""Makes a coupling's log scale of what its network returns; 0 of 0, but for rounding."""

_MAX_LOG_SCALE = 2.0
_MIN_SCALE = 0.1
_START = 2.0  # the logit of a fresh coupling's scale
_LOG_AT_START = math.log(_MIN_SCALE + (1.0 - _MIN_SCALE) / (1.0 + math.exp(-_START)))


def tanh_scale(raw: tf.Tensor) -> tf.Tensor:
    """Log scales within +-2, by a tanh as in [2]: no image can make a flow explode."""
    return _MAX_LOG_SCALE * tf.tanh(raw / _MAX_LOG_SCALE)


def sigmoid_scale(raw: tf.Tensor) -> tf.Tensor:
    """Log scales from -2.19 to 0.11, by a sigmoid of `raw + 2` as in the code of [1], which has no
    floor at a tenth and is not divided by its start.

    Couplings make values smaller where they are uncertain and hardly larger anywhere; what is the
    same for all images is for the actnorms to scale. Where eight couplings may each enlarge
    sevenfold, single images make a step's loss jump by orders of magnitude.
    """
    return tf.math.log(_MIN_SCALE + (1.0 - _MIN_SCALE) * tf.sigmoid(raw + _START)) - _LOG_AT_START


class _Coupling(ImageBijector):
    """Changes one half of the channels, by a network of the other."""

    network: Network
    _order = 1

    def initialize(self, x: tf.Tensor) -> None:
        """Fits what the network has of normalizations to images `x` `[B, H, W, C]`."""
        kept, _ = _halves(x)[:: self._order]
        if hasattr(self.network, "initialize"):
            self.network.initialize(kept)


class AffineCoupling(_Coupling):
    """Shifts and scales one half of the channels, by a network of the other ([2], eq. 7).

    `b' = (b + shift(a)) * exp(log_scale(a))`. The network returns `[B, H, W, 2 * channels of b]`.

    Args:
      network: of the half that is kept.
      dtype: of everything else.
      keep: "first" or "second", the half that stays as it is.
      log_scale: of the network's second half; `tanh_scale` or `sigmoid_scale`.
    """

    def __init__(
        self,
        network: Network,
        dtype: tf.DType = tf.float32,
        keep: str = "first",
        log_scale: LogScale = tanh_scale,
    ):
        super().__init__(dtype, "affine")
        self.network = network
        self._order = 1 if keep == "first" else -1
        self._log_scale = log_scale

    def _shift_and_log_scale(self, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Networks may compute in bfloat16; nothing outside them does.
        shift, raw = tf.split(tf.cast(self.network(kept), kept.dtype), 2, axis=-1)
        return shift, self._log_scale(raw)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept, changed = _halves(x)[:: self._order]
        shift, log_scale = self._shift_and_log_scale(kept)
        changed = (changed + shift) * tf.exp(log_scale)
        return self._join(kept, changed), tf.reduce_sum(log_scale, [-3, -2, -1])

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept, changed = _halves(y)[:: self._order]
        shift, log_scale = self._shift_and_log_scale(kept)
        changed = changed * tf.exp(-log_scale) - shift
        return self._join(kept, changed), -tf.reduce_sum(log_scale, [-3, -2, -1])

    def _join(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        return tf.concat([kept, changed][:: self._order], -1)


class AdditiveCoupling(_Coupling):
    """Shifts the second half of the channels, by a network of the first; keeps the volume.

    `b' = b + shift(a)`. The network returns `[B, H, W, channels of b]`.
    """

    def __init__(self, network: Network, dtype: tf.DType = tf.float32):
        super().__init__(dtype, "additive")
        self.network = network

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept, changed = _halves(x)
        shift = tf.cast(self.network(kept), kept.dtype)
        return tf.concat([kept, changed + shift], -1), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept, changed = _halves(y)
        shift = tf.cast(self.network(kept), kept.dtype)
        return tf.concat([kept, changed - shift], -1), tf.zeros([], y.dtype)


def _halves(x: tf.Tensor) -> list[tf.Tensor]:
    channels = x.shape[-1]
    return tf.split(x, [channels - channels // 2, channels // 2], axis=-1)
