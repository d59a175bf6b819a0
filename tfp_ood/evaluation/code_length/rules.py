"""What the code is made of (see `code_length`): its classes, and what they take."""

import functools
import math

import numpy as np

from tfp_ood.units import NUM_PIXEL_VALUES

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Rows above and columns left of a pixel, of what a decoder knows before it."""
NEAR = NEIGHBOURS[:4]
OF_OTHERS = 4
"""How many of the neighbours of a known colour take part in a linear prediction."""
FARTHEST = 127
"""From a pixel's prediction, of what takes part in it: sums of a thousand products are exact."""
RIDGE = 10.0
STEPS = 256
"""Coefficients are multiples of 1 / `STEPS` in [-2, 2)."""
COEFFICIENT_BITS = 10.0

NUM_SIZES = 16
"""Of errors: 0, 1, 2, 3 to 4, 5 to 6, 7 to 10, ... 191 to 254, 255."""
NUM_ERRORS = 2 * NUM_SIZES - 1
"""Classes of errors: none, then of each size the positive and the negative ones."""
NUM_ACTIVITIES = 13
NUM_CELLS = NUM_ACTIVITIES * NUM_ERRORS

VALUES = (0, 1, 4, 16, 48, 80, 112, 144, 176, 208, 240, 252, 255, 256)
"""Where classes of pixel values begin: 0, 1 to 3, ... 252 to 254, 255."""
NUM_VALUES = len(VALUES) - 1
LEVELS = (16, 240)
"""Where values begin that are not dark, and that are bright."""
OF_PATTERNS = ((0, 1), (1, 0), (1, -1))
NUM_LEVELS = len(LEVELS) + 1
NUM_PATTERNS = NUM_LEVELS ** len(OF_PATTERNS)
ALL_MIDDLE = NUM_PATTERNS // 2

START = 0.5
"""What each class counts before anything is coded."""

NUM_PREDICTIONS = 2
NUM_WAYS = NUM_PREDICTIONS + 2
"""To code the first colour; further ones have the predictions alone."""


def taking_part(colour: int) -> list[tuple[int, int]]:
    """(Neighbour, colour) of what the prediction of a colour is made of; after the neighbours comes
    the pixel itself, of colours before."""
    own = [(number, colour) for number in range(len(NEIGHBOURS))]
    others = [*range(OF_OTHERS), len(NEIGHBOURS)]
    return own + [(number, other) for other in range(colour) for number in others]


def costs(num_colours: int) -> list[float]:
    """The bits of each colour's coefficients."""
    return [COEFFICIENT_BITS * len(taking_part(colour)) for colour in range(num_colours)]


def sizes(numbers: np.ndarray) -> np.ndarray:
    """The class of integers >= 0 by size, two for each doubling: from the bits of float32."""
    halves = np.right_shift((numbers + 1).astype(np.float32).view(np.int32), 22)
    return np.maximum(halves - 255, 0)


def classes_of_values() -> np.ndarray:
    """The class of each pixel value: int32 [256]."""
    return np.searchsorted(VALUES, np.arange(NUM_PIXEL_VALUES), "right").astype(np.int32) - 1


@functools.cache
def widths_of_errors() -> np.ndarray:
    """How many numbers each class of errors has: [classes]."""
    widths = np.bincount(sizes(np.arange(NUM_PIXEL_VALUES)), minlength=NUM_SIZES)
    return np.concatenate([widths[:1], np.repeat(widths[1:], 2)])


def widths_of_values() -> np.ndarray:
    """How many numbers each class of values has: [classes]."""
    return np.diff(VALUES)


def growth(start: float, most: int) -> np.ndarray:
    """log Gamma(n + start) - log Gamma(start) of n = 0 to `most`: float64 [most + 1]."""
    return np.array([math.lgamma(number + start) for number in range(most + 1)]) - math.lgamma(
        start
    )
