"""The length of images under a fixed lossless code, a measure of complexity.

How much an image costs a code that knows of images in general, and of no set, tells how complex it
is (`detectors/complexity.py`). PNG and WebP are such codes, but small files are mostly headers and
tables. This code writes no file: counts tell its length.

Colours are coded one after the other, green first, each in the shortest of these ways:

- errors of the median prediction of LOCO-I (Weinberger et al., 2000, "The LOCO-I lossless image
  compression algorithm"), to which red and blue add the error of green, each in the context of the
  sizes of the errors next to it;
- errors of the best linear prediction from neighbours and known colours, whose coefficients are
  coded too;
- green alone: values, in the context of which neighbours are dark or bright;
- green alone: values where any neighbour is dark or bright, as in drawings, and errors elsewhere.

In each context classes are coded by their counts so far, each with 1/2 at the start (Krichevsky &
Trofimov, 1981, "The performance of universal encoding"), and what is left of a value in a class
takes the logarithm of how many there are. The length of an adaptive code depends on the last counts
alone, in whatever order they came, so that nothing has to be coded. (A decoder of red knows green,
and finds the linear prediction of green from it, in whatever way that was coded.)

There are two ways to compute it. `in_graph.py` is TensorFlow's operations, which an exported model
takes along. Compiled loops (`predictions.py`, `counts.py`) need a fifth of the time, and some ten
seconds when they are first used on a machine: tables of many images are made with them. Predictions
and counts are exact in both, in every batch, but for the rounding of float64 in a small linear
system; both tell the same bits.

It may import the root, and nothing else of evaluation.
"""

import concurrent.futures
import functools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfp_ood import devices
from tfp_ood.evaluation.code_length import rules

COLUMN = "code_bits"
"""Of score tables, and of what an exported guard tells of the image itself."""
MANY = 2**25
"""Pixel values from which on images are `many`."""
_TOGETHER = 2**16
"""Pixel values whose errors a core's cache holds."""
_FEWEST = 16
"""Images that are worth a thread."""


def many(num_values: int) -> bool:
    """Whether images of so many pixel values in all are worth the loops, which are compiled when
    they are first used on a machine."""
    return num_values >= MANY


def added(score: Callable[[Any], Mapping[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """A function of images that tells their length too, an array once somebody looks at it.

    Until then threads count while an accelerator scores, and while others are written down.
    """

    def both(batch: Any) -> dict[str, Any]:
        return {**score(batch), COLUMN: _Awaited(np.asarray(batch))}

    return both


def code_bits(images: np.ndarray) -> np.ndarray:
    """The length of each image in bits, on all cores.

    Args:
      images: uint8 [B, H, W, 1 or 3].

    Returns:
      float32 [B], what `in_graph.code_bits` tells too.
    """
    return np.asarray(_Awaited(images))


def ways(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The length of each colour in each way, without the bits that say which.

    Args:
      images: uint8 [B, H, W, C], C 1 or 3.

    Returns:
      float64 [B, 4] of gray or green, by median and by linear prediction, by values, by both; and
      [B, 2, C - 1] of red and blue, by median and by linear prediction.

    Raises:
      ValueError: they are of another type or shape.
    """
    from tfp_ood.evaluation.code_length import counts, predictions  # numba takes half a second

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images are uint8 [B, H, W, 1 or 3]; got {images.dtype} {list(images.shape)}"
        )
    images = np.require(images, requirements="C").view()
    images.flags.writeable = False  # as TensorFlow's are; of others there would be loops again
    count, height, width, colours = images.shape
    first = np.empty([count, rules.NUM_WAYS])
    further = np.empty([count, rules.NUM_PREDICTIONS, colours - 1])
    size = max(1, _TOGETHER // images[0].size) if count else 1
    errors = np.empty([size, rules.NUM_PREDICTIONS, colours, height, width], np.int16)
    for start in range(0, count, size):
        some = slice(start, start + size)
        values = np.empty([len(images[some]), height, width], np.int16)
        predictions.errors(images[some], predictions.told(colours), values, errors)
        told = counts.told(height * width, colours)
        counts.ways(values, errors, told, first[some], further[some])
    return first, further


class _Awaited:
    """`code_bits` of images as an array that threads are still at."""

    def __init__(self, images: np.ndarray) -> None:
        size = max(_FEWEST, -(-len(images) // devices.num_cores()))
        starts = range(0, max(1, len(images)), size)
        self._parts = [_threads().submit(_shortest, images[i : i + size]) for i in starts]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate([part.result() for part in self._parts], dtype=dtype)


def _shortest(images: np.ndarray) -> np.ndarray:
    """`code_bits` in one thread."""
    first, further = ways(images)
    bits = first.min(-1) + math.log2(rules.NUM_WAYS)
    bits += np.sum(further.min(1) + math.log2(rules.NUM_PREDICTIONS), -1)
    return bits.astype(np.float32)


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(devices.num_cores(), "code_length")


# A forked process has none of its parent's threads.
os.register_at_fork(after_in_child=_threads.cache_clear)
