"""Many images a few at a time, so that what a network holds of them has a bound."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_PIXELS = 2**14
"""Of all images of a chunk: 16 of 32x32. The largest network here holds some 30 KB of a pixel."""


def chunks(images: tf.Tensor) -> Iterator[tf.Tensor]:
    """Images `[B, H, W, C]` in parts of at least one."""
    size = max(1, _PIXELS // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), size):
        yield images[start : start + size]


def in_chunks(function: Callable[[tf.Tensor], Any], images: tf.Tensor) -> Any:
    """A function of images to one tensor or several, applied to one chunk after the other."""
    results = [function(chunk) for chunk in chunks(images)]
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *results)
