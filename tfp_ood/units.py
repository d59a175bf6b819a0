"""Units of likelihood: the only 256 and the only log(2) of the package.

A pixel takes one of 256 values. `log_prob` is in nats per image, of the discrete image; a density
over pixels dequantized to [0, 256) has the same unit. Images scaled to [0, 1) have a density that
is larger by `log(256)` nats for each dimension.
"""

import math
from typing import TypeVar

NUM_PIXEL_VALUES = 256
"""How many values a uint8 pixel takes."""

NATS_PER_BIT = math.log(2.0)

_Array = TypeVar("_Array")


def bits_per_dim(log_prob: _Array, num_dims: int) -> _Array:
    """Bits per dimension of log-likelihoods: `-log_prob / (num_dims * log(2))`.

    Args:
      log_prob: nats per image, any shape; number, NumPy array or tensor.
      num_dims: number of dimensions of an image, H * W * C.

    Returns:
      Bits per dimension in the same shape; a uniform density over images has exactly 8.
    """
    return -log_prob / (num_dims * NATS_PER_BIT)


def log_prob_from_bits(bits: _Array, num_dims: int) -> _Array:
    """Nats per image of `bits` per dimension; the inverse of `bits_per_dim`."""
    return -bits * (num_dims * NATS_PER_BIT)
