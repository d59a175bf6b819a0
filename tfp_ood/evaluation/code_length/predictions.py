"""What pixels are more than predicted (see `code_length`), by compiled loops.

Integers have 16 bits where they fit, so that a processor's vectors hold many.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from tfp_ood.evaluation.code_length import compiled, rules

_NUM_EXACT = 2**16
"""Products of `rules.FARTHEST` whose sum int32 holds."""


class Told(NamedTuple):
    """What the loops are told, of images of C colours."""

    neighbours: np.ndarray
    """Rows above and columns left: [neighbours, 2]."""
    farthest: int
    """From a prediction, of what takes part in one."""
    taking_part: np.ndarray
    """The rows of `_take_part` for the prediction of each colour, then others: [C, most]."""
    how_many: np.ndarray
    """Of these: [C]."""
    is_asked: np.ndarray
    """Whether the product of two of these rows is in one of the equations."""
    ridge: float
    shift: int
    """Coefficients are multiples of 1 / 2^`shift`."""


@functools.cache
def told(num_colours: int) -> Told:
    """What the loops are told, of images of so many colours."""
    rows = [
        [number * num_colours + other for number, other in rules.taking_part(colour)]
        for colour in range(num_colours)
    ]
    num_parts = (len(rules.NEIGHBOURS) + 1) * num_colours
    green = num_parts - num_colours
    is_asked = np.zeros([num_parts, num_parts], bool)
    for colour, one in enumerate(rows):
        asked = [*one, green, green + colour]
        is_asked[np.ix_(asked, asked)] = True
    most = max(map(len, rows))
    return Told(
        neighbours=np.array(rules.NEIGHBOURS),
        farthest=rules.FARTHEST,
        taking_part=np.array([one + [0] * (most - len(one)) for one in rows]),
        how_many=np.array([len(one) for one in rows]),
        is_asked=is_asked,
        ridge=rules.RIDGE,
        shift=int(math.log2(rules.STEPS)),
    )


@compiled.inner
def _read(image: np.ndarray, values: np.ndarray) -> None:
    """Colours of `[H, W, C]` one after the other, green first, with a margin of zeros."""
    height, width, colours = image.shape
    for row in range(height):
        of_row, first = image[row].reshape(-1), values[0, row + 1]
        if colours == 1:
            for column in range(width):
                first[column + 1] = of_row[column]
        else:  # the distance of pixels is no variable, for vectors' sake
            second, third = values[1, row + 1], values[2, row + 1]
            for column in range(width):
                second[column + 1] = of_row[3 * column]
                first[column + 1] = of_row[3 * column + 1]
                third[column + 1] = of_row[3 * column + 2]


@compiled.inner
def _medians(values: np.ndarray, median: np.ndarray) -> None:
    """LOCO-I's predictions, with margins as the values have."""
    for colour in range(len(values)):
        for row in range(1, values.shape[1]):
            above, current, to = values[colour, row - 1], values[colour, row], median[colour, row]
            for column in range(1, len(to) - 1):
                left, up = current[column - 1], above[column]
                plane = np.int16(left + up - above[column - 1])
                to[column] = max(min(plane, max(left, up)), min(left, up))


@compiled.inner
def _simple(values: np.ndarray, median: np.ndarray, predicted: np.ndarray) -> None:
    """Predictions: medians, to which further colours add what green is more than its own."""
    colours, height, width = predicted.shape
    for colour in range(colours):
        for row in range(height):
            of_row, to = median[colour, row + 1], predicted[colour, row]
            green, of_green = values[0, row + 1], median[0, row + 1]
            for column in range(width):
                to[column] = of_row[column + 1]
            if colour:
                for column in range(width):
                    more = np.int16(green[column + 1] - of_green[column + 1])
                    to[column] = np.int16(to[column] + more)


@compiled.inner
def _inside(height: int, width: int) -> np.ndarray:
    """-1 for pixels of which all neighbours are in the image, and 0, from the third row on, flat,
    with margins."""
    inside = np.zeros((max(0, height - 2), width + 2), np.int16)
    for row in range(len(inside)):
        for column in range(2, width - 1):
            inside[row, column + 1] = -1
    return inside.reshape(-1)


@compiled.inner
def _differences(
    near: np.ndarray, middle: np.ndarray, inside: np.ndarray, farthest: int, to: np.ndarray
) -> None:
    """What neighbours are more than predicted."""
    least, most = np.int16(-farthest), np.int16(farthest)
    for place in range(len(to)):
        difference = np.int16(near[place] - middle[place])
        to[place] = min(max(difference, least), most) & inside[place]


@compiled.inner
def _take_part(
    values: np.ndarray, median: np.ndarray, inside: np.ndarray, told: Told, parts: np.ndarray
) -> None:
    """What predictions are made of: rows of `parts` for each neighbour and colour, then what the
    values are themselves more than predicted."""
    colours, _, width = values.shape
    start, count = 3 * width, len(inside)
    for colour in range(colours):
        flat, middle = values[colour].reshape(-1), median[colour].reshape(-1)[start:]
        for number in range(len(told.neighbours) + 1):
            first = start
            if number < len(told.neighbours):
                first -= told.neighbours[number, 0] * width + told.neighbours[number, 1]
            near = flat[first : first + count]
            _differences(near, middle, inside, told.farthest, parts[number * colours + colour])


@compiled.inner
def _product(one: np.ndarray, other: np.ndarray) -> np.int32:
    """The sum of products, while int32 holds it."""
    total = np.int32(0)
    for place in range(len(one)):
        total = np.int32(total + np.int32(np.int32(one[place]) * np.int32(other[place])))
    return total


@compiled.inner
def _products(parts: np.ndarray, is_asked: np.ndarray) -> np.ndarray:
    """Of every two rows of `parts` that is asked for, both ways round."""
    products = np.zeros((len(parts), len(parts)))
    for one in range(len(parts)):
        for other in range(one, len(parts)):
            if is_asked[one, other]:
                for start in range(0, parts.shape[1], _NUM_EXACT):
                    part = slice(start, start + _NUM_EXACT)
                    products[one, other] += _product(parts[one, part], parts[other, part])
                products[other, one] = products[one, other]
    return products


@compiled.inner
def _solve(matrix: np.ndarray, wanted: np.ndarray, size: int) -> None:
    """Gauss' elimination with the largest pivots, in the place of what is given."""
    for step in range(size):
        pivot = step
        for row in range(step + 1, size):
            if abs(matrix[row, step]) > abs(matrix[pivot, step]):
                pivot = row
        if pivot != step:
            for column in range(step, size):
                kept = matrix[step, column]
                matrix[step, column] = matrix[pivot, column]
                matrix[pivot, column] = kept
            wanted[step], wanted[pivot] = wanted[pivot], wanted[step]
        for row in range(step + 1, size):
            share = matrix[row, step] / matrix[step, step]
            for column in range(step + 1, size):
                matrix[row, column] -= share * matrix[step, column]
            wanted[row] -= share * wanted[step]
    for step in range(size - 1, -1, -1):
        for column in range(step + 1, size):
            wanted[step] -= matrix[step, column] * wanted[column]
        wanted[step] /= matrix[step, step]


@compiled.inner
def _correct(
    parts: np.ndarray, coefficients: np.ndarray, rows: np.ndarray, shift: int, to: np.ndarray
) -> None:
    """Adds to int16 `[H, W]`, inside, what the linear map of rows of `parts` is, to the nearest."""
    width = to.shape[1]
    added = np.zeros(parts.shape[1], np.int32)
    for place in range(len(rows)):
        coefficient, part = np.int32(coefficients[place]), parts[rows[place]]
        for pixel in range(len(added)):
            added[pixel] = np.int32(added[pixel] + np.int32(coefficient * np.int32(part[pixel])))
    under_half = np.int32((1 << shift) // 2 - 1)
    for row in range(2, len(to)):
        of_row = added[(row - 2) * (width + 2) + 1 :]
        current = to[row]
        for column in range(2, width - 1):  # halves to even ones, as NumPy and TensorFlow round
            total = of_row[column]
            odd = np.int32(total >> shift) & np.int32(1)
            nearest = np.int32(total + under_half + odd) >> shift
            current[column] = np.int16(current[column] + nearest)


@compiled.inner
def _correct_all(parts: np.ndarray, told: Told, predicted: np.ndarray) -> None:
    """Makes predictions by median, int16 `[C, H, W]`, those of the best linear maps.

    Wanted are each colour's differences from the median, the last of `parts`; of red and blue,
    what they are more than green's.
    """
    products = _products(parts, told.is_asked)
    matrix, wanted = np.empty(products.shape), np.empty(len(products))
    green = len(parts) - len(predicted)
    for colour in range(len(predicted)):
        rows = told.taking_part[colour]
        rows = rows[: told.how_many[colour]]
        for place, one in enumerate(rows):
            for to, other in enumerate(rows):
                matrix[place, to] = products[one, other]
            matrix[place, place] += told.ridge
            wanted[place] = products[one, green + colour]
            if colour:
                wanted[place] -= products[one, green]
        _solve(matrix, wanted, len(rows))
        steps = 1 << told.shift
        for place in range(len(rows)):
            wanted[place] = min(max(np.rint(steps * wanted[place]), -2.0 * steps), 2.0 * steps - 1)
        _correct(parts, wanted, rows, told.shift, predicted[colour])


@compiled.inner
def _errors(values: np.ndarray, predicted: np.ndarray, errors: np.ndarray) -> None:
    """What pixels are more than predicted, of what pixels can be."""
    for colour in range(len(predicted)):
        for row in range(predicted.shape[1]):
            current, one = values[colour, row + 1], predicted[colour, row]
            to = errors[colour, row]
            for column in range(predicted.shape[2]):
                likely = min(max(one[column], np.int16(0)), np.int16(255))
                to[column] = np.int16(current[column + 1] - likely)


@compiled.outer
def errors(images: np.ndarray, told: Told, first: np.ndarray, found: np.ndarray) -> None:
    """What pixels are more than predicted, of what pixels can be.

    Args:
      images: uint8 `[B, H, W, C]`, C 1 or 3.
      told: of so many colours.
      first: int16 `[B, H, W]`, which becomes gray or green.
      found: int16 `[B, 2, C, H, W]`, of predictions by median and by the best linear map; of
        smaller images than 3x4 by median twice. Colours are in the order of coding.
    """
    count, height, width, colours = images.shape
    values = np.zeros((colours, height + 1, width + 2), np.int16)
    median = np.zeros_like(values)
    predicted = np.empty((colours, height, width), np.int16)
    inside = _inside(height, width)
    parts = np.empty((len(told.is_asked), len(inside)), np.int16)
    for number in range(count):
        _read(images[number], values)
        first[number] = values[0, 1:, 1:-1]
        _medians(values, median)
        _simple(values, median, predicted)
        _errors(values, predicted, found[number, 0])
        if height > 2 and width > 3:
            _take_part(values, median, inside, told, parts)
            _correct_all(parts, told, predicted)
        _errors(values, predicted, found[number, 1])
