"""Many images a few at a time, so that what a network holds of them has a bound."""

import concurrent.futures
import contextvars
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_ood import devices

_PIXELS = 2**14
"""Of all images of a chunk: 16 of 32x32. The largest network here holds some 30 KB of a pixel."""
_AT_ONCE = 2
"""Chunks; more cores would be faster, and hold more."""


def of_chunks(function: Callable[[tf.Tensor], Any], images: tf.Tensor) -> list[Any]:
    """What a function, called eagerly, makes of every few images, in their order.

    On a CPU two calls run beside each other, in threads, since an operation on so few images keeps
    one core busy.

    Args:
      function: of images `[b, H, W, C]`, at least one; changes nothing.
      images: `[B, H, W, C]`.
    """
    size = max(1, _PIXELS // (images.shape[1] * images.shape[2]))
    parts = [images[start : start + size] for start in range(0, len(images), size)]
    # Threads of their own know neither a strategy's scope nor a device's.
    if tf.config.list_logical_devices("GPU") or tf.distribute.has_strategy():
        return [function(part) for part in parts]
    with concurrent.futures.ThreadPoolExecutor(min(_AT_ONCE, devices.num_cores())) as pool:
        calls = [pool.submit(contextvars.copy_context().run, function, part) for part in parts]
        return [call.result() for call in calls]


def in_chunks(function: Callable[[tf.Tensor], Any], images: tf.Tensor) -> Any:
    """`of_chunks` of a function to one tensor or several, with rows for images, put together."""
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *of_chunks(function, images))
