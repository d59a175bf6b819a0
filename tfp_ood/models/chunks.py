"""Many images a few at a time, so that what a network holds of them has a bound."""

import concurrent.futures
import contextvars
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_ood import devices

_BYTES = 2**29
"""That a network holds of a chunk."""
_FEW = 32
"""Of images that take less than such a part of it, two parts take longer than all together."""
_AT_ONCE = 2
"""Chunks; more cores would be faster, and hold more."""


def fitting(images: tf.Tensor, bytes_per_pixel: int) -> int:
    """How many of images `[B, H, W, C]` to see at once, at least 1, by what is held of a pixel."""
    return max(1, _BYTES // (bytes_per_pixel * images.shape[1] * images.shape[2]))


def of_chunks(function: Callable[[tf.Tensor], Any], images: tf.Tensor, size: int) -> list[Any]:
    """What a function, called eagerly, makes of every few images, in their order.

    On a CPU two calls run beside each other, in threads, since an operation on so few images keeps
    one core busy.

    Args:
      function: of images `[b, H, W, C]`, at least one; changes nothing.
      images: `[B, H, W, C]`.
      size: the most images of a chunk.
    """
    parts = [images[start : start + size] for start in range(0, len(images), size)]
    # Threads of their own know neither a strategy's scope nor a device's.
    if len(parts) == 1 or tf.config.list_logical_devices("GPU") or tf.distribute.has_strategy():
        return [function(part) for part in parts]
    pool = concurrent.futures.ThreadPoolExecutor(min(_AT_ONCE, devices.num_cores()))
    try:
        calls = [pool.submit(contextvars.copy_context().run, function, part) for part in parts]
        return [call.result() for call in calls]
    finally:  # who stops the program does not wait for all parts
        pool.shutdown(cancel_futures=True)


def in_chunks(function: Callable[[tf.Tensor], Any], images: tf.Tensor, bytes_per_pixel: int) -> Any:
    """`of_chunks` of a function to one tensor or several, with rows for images, put together."""
    size, held = fitting(images, bytes_per_pixel), bytes_per_pixel * math.prod(images.shape[:3])
    if held > _BYTES // _FEW:
        size = min(size, -(-len(images) // _AT_ONCE))
    results = of_chunks(function, images, size)
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *results)
