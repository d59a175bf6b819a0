"""The bits of values and errors in their contexts (see `code_length`), by compiled loops."""

import functools
from typing import NamedTuple

import numpy as np

from tfp_ood.evaluation.code_length import compiled, rules
from tfp_ood.units import NATS_PER_BIT


class Told(NamedTuple):
    """What the loops are told, of images of a number of pixels and colours."""

    costs: np.ndarray
    """The bits of each colour's coefficients."""
    num_contexts: int
    contexts: np.ndarray
    """The first number of the context of each activity."""
    of_errors: np.ndarray
    """The class of errors from -255 on."""
    log_errors: np.ndarray
    """log2 of how many numbers each of these classes has."""
    growth_errors: np.ndarray
    """`rules.growth` of all of these classes together, up to the number of pixels."""
    num_patterns: int
    all_middle: int
    """The pattern in which errors are coded where values are in all others."""
    middle: int
    """Where values begin that are not dark."""
    bright: int
    num_levels: int
    of_values: np.ndarray
    """The class of pixel values."""
    log_values: np.ndarray
    growth_values: np.ndarray
    growth_one: np.ndarray
    """`rules.growth` of one class."""


@functools.cache
def told(num_pixels: int, num_colours: int) -> Told:
    """What the loops are told, of images of so many pixels and colours."""
    activities = np.arange(8 * 255 + 1)
    errors = np.arange(-255, 256)
    contexts = np.minimum(rules.sizes(activities), rules.NUM_ACTIVITIES - 1) * rules.NUM_ERRORS
    widths_of_errors, widths_of_values = rules.widths_of_errors(), rules.widths_of_values()
    return Told(
        costs=np.array(rules.costs(num_colours)),
        num_contexts=rules.NUM_ACTIVITIES,
        contexts=contexts.astype(np.int32),
        of_errors=(2 * rules.sizes(np.abs(errors)) - (errors > 0)).astype(np.int32),
        log_errors=np.log2(widths_of_errors),
        growth_errors=rules.growth(rules.START * len(widths_of_errors), num_pixels),
        num_patterns=rules.NUM_PATTERNS,
        all_middle=rules.ALL_MIDDLE,
        middle=rules.LEVELS[0],
        bright=rules.LEVELS[1],
        num_levels=rules.NUM_LEVELS,
        of_values=rules.classes_of_values(),
        log_values=np.log2(widths_of_values),
        growth_values=rules.growth(rules.START * len(widths_of_values), num_pixels),
        growth_one=rules.growth(rules.START, num_pixels),
    )


@compiled.inner
def _sizes(errors: np.ndarray, size: np.ndarray) -> None:
    """How far errors are from none, with a margin of zeros above, left and right."""
    for row in range(len(errors)):
        of_row, to = errors[row], size[row + 1]
        for column in range(len(of_row)):
            to[column + 1] = max(of_row[column], np.int16(-of_row[column]))


@compiled.inner
def _cells(
    size: np.ndarray, before: np.ndarray, errors: np.ndarray, told: Told, cells: np.ndarray
) -> None:
    """The number of each error's class, counted through all contexts.

    Args:
      size: of `_sizes`, of one plane.
      before: the same of the colour before, or zeros.
      errors: int16 `[H, W]`.
      told: the contexts and classes.
      cells: int32 `[H, W]`, what is found.
    """
    height, width = errors.shape
    contexts, classes = told.contexts, told.of_errors
    activity = np.empty(width, np.int16)
    for row in range(height):
        above, current, other = size[row], size[row + 1], before[row + 1]
        of_row, to = errors[row], cells[row]
        for column in range(width):
            next_to = np.int16(current[column] + above[column + 1] + other[column + 1])
            activity[column] = np.int16(2 * next_to + above[column] + above[column + 2])
        for column in range(width):
            to[column] = contexts[activity[column]] + classes[of_row[column] + 255]


@compiled.inner
def _count(cells: np.ndarray, counts: np.ndarray) -> None:
    """Adds how often each number comes."""
    for row in range(len(cells)):
        of_row = cells[row]
        for column in range(len(of_row)):
            counts[of_row[column]] += 1


@compiled.inner
def _patterns(values: np.ndarray, told: Told, drawn: np.ndarray) -> None:
    """The number of each value's class, counted through all patterns of dark and bright neighbours.

    Args:
      values: int16 `[H, W]`.
      told: the levels and classes.
      drawn: int32 `[2, H, W]`, what is found: the pattern, and the number.
    """
    height, width = values.shape
    classes, num_values = told.of_values, np.int32(len(told.log_values))
    num_levels = np.int32(told.num_levels)
    levels = np.zeros((height + 1, width + 2), np.int32)
    for row in range(height):
        of_row, above, current = values[row], levels[row], levels[row + 1]
        patterns, cells = drawn[0, row], drawn[1, row]
        for column in range(width):
            value = of_row[column]
            current[column + 1] = np.int32(value >= told.middle) + np.int32(value >= told.bright)
        for column in range(width):
            pattern = num_levels * current[column] + above[column + 1]
            pattern = num_levels * pattern + above[column + 2]
            patterns[column] = pattern
            cells[column] = pattern * num_values + classes[of_row[column]]


@compiled.inner
def _leave_out(cells: np.ndarray, patterns: np.ndarray, one: int, free: int) -> None:
    """Gives cells in all patterns but one a free number."""
    for row in range(len(cells)):
        of_row, which = cells[row], patterns[row]
        for column in range(len(of_row)):
            of_row[column] = of_row[column] if which[column] == one else free


@compiled.summed
def _of_context(
    counts: np.ndarray, logs: np.ndarray, at_start: np.ndarray, of_one: np.ndarray
) -> float:
    """The length in bits of what has these counts in one context.

    Args:
      counts: of each class.
      logs: of how many numbers each class has, in base 2.
      at_start: `rules.growth` of all classes, by their sum.
      of_one: the same of one class, by its count.
    """
    total, nats, rest = 0, 0.0, 0.0
    for kind in range(len(logs)):
        count = counts[kind]
        total += count
        nats += of_one[count]
        rest += count * logs[kind]
    return (at_start[total] - nats) / NATS_PER_BIT + rest


@compiled.inner
def _bits(
    counts: np.ndarray, logs: np.ndarray, at_start: np.ndarray, of_one: np.ndarray, num: int
) -> float:
    """The sum of `_of_context` of so many contexts."""
    total = 0.0
    for start in range(0, num * len(logs), len(logs)):
        total += _of_context(counts[start : start + len(logs)], logs, at_start, of_one)
    return total


@compiled.inner
def _of_errors(cells: np.ndarray, told: Told) -> float:
    """The bits of numbers of `_cells`, but for those that are free."""
    counts = np.zeros(told.num_contexts * len(told.log_errors) + 1, np.int32)
    _count(cells, counts)
    logs = told.log_errors
    return _bits(counts, logs, told.growth_errors, told.growth_one, told.num_contexts)


@compiled.inner
def _of_drawings(values: np.ndarray, cells: np.ndarray, told: Told) -> tuple[float, float]:
    """The bits of the first colour by values; and by values where any neighbour is dark or bright,
    and `cells` of its errors elsewhere (`_leave_out` of which is what they become)."""
    height, width = cells.shape
    drawn = np.empty((2, height, width), np.int32)
    _patterns(values, told, drawn)
    counts = np.zeros(told.num_patterns * len(told.log_values), np.int32)
    _count(drawn[1], counts)
    logs = told.log_values
    of_values = _bits(counts, logs, told.growth_values, told.growth_one, told.num_patterns)
    counts = counts[told.all_middle * len(logs) : (told.all_middle + 1) * len(logs)]
    of_middle = _bits(counts, logs, told.growth_values, told.growth_one, 1)
    _leave_out(cells, drawn[0], told.all_middle, told.num_contexts * len(told.log_errors))
    return of_values, of_values - of_middle + _of_errors(cells, told)


@compiled.outer
def ways(
    values: np.ndarray, errors: np.ndarray, told: Told, first: np.ndarray, further: np.ndarray
) -> None:
    """The length of each colour in each way, without the bits that say which.

    Args:
      values: int16 `[B, H, W]`, gray or green, of `predictions.errors`.
      errors: int16 `[B or more, 2, C, H, W]`, of the same.
      told: of their shape.
      first: float64 `[B, 4]`, what is found of gray or green: by median and by linear prediction,
        by values, by both.
      further: float64 `[B, 2, C - 1]`, of red and blue: by median and by linear prediction.
    """
    count, height, width = values.shape
    colours = errors.shape[2]
    size = np.zeros((colours + 1, height + 1, width + 2), np.int16)  # none before the first
    cells = np.empty((height, width), np.int32)
    for number in range(count):
        for way in range(2):
            for colour in range(colours):
                of_plane = errors[number, way, colour]
                _sizes(of_plane, size[colour + 1])
                _cells(size[colour + 1], size[colour], of_plane, told, cells)
                bits = _of_errors(cells, told) + way * told.costs[colour]
                if colour:
                    further[number, way, colour - 1] = bits
                    continue
                first[number, way] = bits
                if not way:
                    of_values, of_both = _of_drawings(values[number], cells, told)
                    first[number, 2], first[number, 3] = of_values, of_both
