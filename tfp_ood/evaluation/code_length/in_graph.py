"""The code's lengths by TensorFlow's operations, in a graph that an exported model takes along."""

import math

import numpy as np
import tensorflow as tf

from tfp_ood import units
from tfp_ood.evaluation.code_length import rules

_MOST_EXACT = 1024
"""Products of `rules.FARTHEST` whose sum float32 holds."""
_GROUP, _MOST_IMAGES = 2**17, 256
"""Values of pixels, and images, that are worked on together, for memory's sake."""
_AT_ONCE = 4
"""Groups that are worked on beside each other."""


def code_bits(images: tf.Tensor) -> tf.Tensor:
    """The length of each image in bits, on the CPU, beside a model.

    Args:
      images: uint8 `[B, H, W, 1 or 3]`, of which all but B is known.

    Returns:
      float32 `[B]`.
    """
    size = max(1, min(_MOST_IMAGES, _GROUP // math.prod(images.shape[1:])))
    with tf.device("CPU"):
        count = tf.maximum(1, (tf.shape(images)[0] + size - 1) // size)
        found = tf.TensorArray(tf.float32, count, element_shape=[None], infer_shape=False)

        def of_group(number: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            group = images[number * size : (number + 1) * size]
            return number + 1, found.write(number, _of_group(group))

        _, found = tf.while_loop(
            lambda number, _: number < count, of_group, (0, found), parallel_iterations=_AT_ONCE
        )
        return found.concat()


def _of_group(images: tf.Tensor) -> tf.Tensor:
    """`code_bits` of a few images."""
    first, further = ways(images)
    bits = tf.reduce_min(first, -1) + math.log2(rules.NUM_WAYS)
    bits += tf.reduce_sum(tf.reduce_min(further, 1) + math.log2(rules.NUM_PREDICTIONS), -1)
    return tf.cast(bits, tf.float32)


def ways(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The length of each colour in each way, without the bits that say which.

    Args:
      images: uint8 `[B, H, W, C]`.

    Returns:
      float64 `[B, 4]` of gray or green, by median and by linear prediction, by values, by both; and
      `[B, 2, C - 1]` of red and blue, by median and by linear prediction.
    """
    num_colours = images.shape[-1]
    planes = tf.transpose(images, [0, 3, 1, 2])
    if num_colours > 1:
        planes = tf.concat([planes[:, 1:2], planes[:, :1], planes[:, 2:]], 1)
    values = tf.cast(planes, tf.float32)
    predicted = tf.clip_by_value(_predictions(values), 0.0, 255.0)
    errors = tf.tile(values, [1, rules.NUM_PREDICTIONS, 1, 1]) - predicted
    classes = _classes_in_context(errors, num_colours)

    start = np.arange(errors.shape[1], dtype=np.int32)[:, None, None] * rules.NUM_CELLS
    counts = _counts(classes + start, [errors.shape[1], rules.NUM_ACTIVITIES, rules.NUM_ERRORS])
    num_pixels = math.prod(images.shape[1:3])
    bits = _bits(counts, rules.widths_of_errors(), num_pixels)
    bits = tf.reshape(bits, [-1, rules.NUM_PREDICTIONS, num_colours])
    bits += np.array([[0.0] * num_colours, rules.costs(num_colours)])

    patterns, drawn = _patterns(planes[:, 0])
    of_patterns = _of_contexts(
        _counts(drawn, [rules.NUM_PATTERNS, rules.NUM_VALUES]), rules.widths_of_values(), num_pixels
    )
    is_drawn = np.arange(rules.NUM_PATTERNS) != rules.ALL_MIDDLE
    not_drawn = tf.where(patterns == rules.ALL_MIDDLE, classes[:, 0], rules.NUM_CELLS)
    counts = _counts(not_drawn, [rules.NUM_ACTIVITIES, rules.NUM_ERRORS])
    of_values = tf.reduce_sum(of_patterns, -1)
    of_both = _bits(counts, rules.widths_of_errors(), num_pixels)
    of_both += tf.linalg.matvec(of_patterns, is_drawn.astype(np.float64))
    first = tf.concat([bits[:, :, 0], of_values[:, None], of_both[:, None]], 1)
    return first, bits[:, :, 1:]


def _neighbour(padded: tf.Tensor, rows: int, columns: int, like: tf.Tensor) -> tf.Tensor:
    """What lies so far above and left; of `[..., 1 + H, 1 + W + 1]` for `like` `[..., H, W]`."""
    height, width = like.shape[-2:]
    top, left = 1 - rows, 1 - columns
    return padded[..., top : top + height, left : left + width]


def _padded(planes: tf.Tensor) -> tf.Tensor:
    """`[..., H, W]` with a row of zeros above, and a column left and right."""
    margins = [[0, 0]] * (len(planes.shape) - 2)
    return tf.pad(planes, [*margins, [1, 0], [1, 1]])


def _predictions(values: tf.Tensor) -> tf.Tensor:
    """Of float32 `[B, C, H, W]` by median, then by the best linear map: `[B, 2 * C, H, W]`, which
    may lie outside of what pixels can be. Smaller images than 3x4 have the first one twice."""
    padded = _padded(values)
    left, above, corner = (_neighbour(padded, *place, values) for place in rules.NEIGHBOURS[:3])
    low, high = tf.minimum(left, above), tf.maximum(left, above)
    median = tf.maximum(tf.minimum(left + above - corner, high), low)
    found = values - median
    of_green = tf.concat([tf.zeros_like(found[:, :1]), *[found[:, :1]] * (found.shape[1] - 1)], 1)
    simple = median + of_green
    height, width = values.shape[-2:]
    is_large = height > 2 and width > 3
    best = simple + _correction(values, median, found) if is_large else simple
    return tf.concat([simple, best], 1)


def _correction(values: tf.Tensor, median: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """What the best linear map of differences from the median adds: integers, 0 near the edges.

    Differences, their products and the coefficients are integers that float32 holds, so that only
    the solution of the equations is rounded, in float64.
    """
    num_colours, height, width = values.shape[1:]
    inside = (slice(None), slice(None), slice(2, height), slice(2, width - 1))
    parts = [
        values[:, :, 2 - rows : height - rows, 2 - columns : width - 1 - columns] - median[inside]
        for rows, columns in rules.NEIGHBOURS
    ]
    area = (height - 2) * (width - 3)
    parts = tf.concat([*parts, found[inside]], 1)
    parts = tf.reshape(parts, [-1, parts.shape[1], area])
    parts = tf.clip_by_value(parts, -float(rules.FARTHEST), float(rules.FARTHEST))
    products = _products(parts)

    coefficients = []
    target = len(rules.NEIGHBOURS) * num_colours
    for colour in range(num_colours):
        rows = [number * num_colours + other for number, other in rules.taking_part(colour)]
        matrix = tf.gather(tf.gather(products, rows, axis=1), rows, axis=2)
        matrix += rules.RIDGE * tf.eye(len(rows), dtype=tf.float64)
        wanted = tf.gather(products[:, :, target + colour], rows, axis=1)
        if colour:
            wanted -= tf.gather(products[:, :, target], rows, axis=1)
        solved = tf.linalg.solve(matrix, wanted[:, :, None])[:, :, 0]
        solved = tf.clip_by_value(
            tf.round(rules.STEPS * solved), -2 * rules.STEPS, 2 * rules.STEPS - 1
        )
        places = np.zeros([len(rows), parts.shape[1]], np.float32)
        places[np.arange(len(rows)), rows] = 1.0
        coefficients.append(tf.matmul(tf.cast(solved, tf.float32), places))
    added = tf.round(tf.matmul(tf.stack(coefficients, 1), parts) / rules.STEPS)
    added = tf.reshape(added, [-1, num_colours, height - 2, width - 3])
    return tf.pad(added, [[0, 0], [0, 0], [2, 0], [2, 1]])


def _products(parts: tf.Tensor) -> tf.Tensor:
    """The sums of products of every two rows of float32 `[B, N, area]`, integers of at most
    `rules.FARTHEST`: float64 `[B, N, N]`, exact."""
    exact = parts if parts.shape[-1] <= _MOST_EXACT else tf.cast(parts, tf.float64)
    return tf.cast(tf.matmul(exact, exact, transpose_b=True), tf.float64)


def _sizes(numbers: tf.Tensor) -> tf.Tensor:
    """The class of integers >= 0 by size, two for each doubling: from the bits of float32."""
    halves = tf.bitwise.right_shift(tf.bitcast(numbers + 1.0, tf.int32), 22)
    return tf.maximum(halves - 255, 0)


def _classes_in_context(errors: tf.Tensor, num_colours: int) -> tf.Tensor:
    """The number of each error's class, counted through all contexts: int32 `[B, P, H, W]`.

    The context is how large errors are on the left, above (both twice), and next to that above; of
    red and blue also, twice, that of the colour before.
    """
    size = tf.abs(errors)
    padded = _padded(size)
    left, above, corner, right = (_neighbour(padded, *place, size) for place in rules.NEAR)
    activity = 2.0 * (left + above) + corner + right
    if num_colours > 1:
        before = tf.concat([size[:, -1:], size[:, :-1]], 1)
        is_further = (np.arange(size.shape[1]) % num_colours > 0).astype(np.float32)
        activity += 2.0 * is_further[:, None, None] * before
    context = tf.minimum(_sizes(activity), rules.NUM_ACTIVITIES - 1)
    return context * rules.NUM_ERRORS + 2 * _sizes(size) - tf.cast(errors > 0.0, tf.int32)


def _patterns(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of uint8 `[B, H, W]` which neighbours are dark, middle or bright, as a pattern, and the
    class of each value, counted through all patterns: int32 `[B, H, W]`."""
    padded = _padded(sum(tf.cast(values >= least, tf.int32) for least in rules.LEVELS))
    pattern = tf.zeros_like(values, tf.int32)
    for place in rules.OF_PATTERNS:
        pattern = rules.NUM_LEVELS * pattern + _neighbour(padded, *place, values)
    return pattern, pattern * rules.NUM_VALUES + tf.gather(
        rules.classes_of_values(), tf.cast(values, tf.int32)
    )


def _counts(numbers: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """How often each number comes in each image, larger ones aside: int32 `[B, *shape]`."""
    size = math.prod(shape)
    flat = tf.reshape(numbers, [tf.shape(numbers)[0], -1])
    counts = tf.math.bincount(flat, minlength=size, maxlength=size, axis=-1)
    return tf.reshape(counts, [-1, *shape])


def _bits(counts: tf.Tensor, widths: np.ndarray, num_pixels: int) -> tf.Tensor:
    """The sum of `_of_contexts`: float64 `[...]`."""
    return tf.reduce_sum(_of_contexts(counts, widths, num_pixels), -1)


def _of_contexts(counts: tf.Tensor, widths: np.ndarray, num_pixels: int) -> tf.Tensor:
    """The length of what has these counts in each context.

    Args:
      counts: int32 `[..., contexts, classes]`.
      widths: [classes], how many numbers each class has.
      num_pixels: the largest that a sum of counts can be.

    Returns:
      float64 `[..., contexts]`.
    """
    at_start = rules.START * len(widths)
    nats = tf.gather(_growth(at_start, num_pixels), tf.reduce_sum(counts, -1))
    nats -= tf.reduce_sum(tf.gather(_growth(rules.START, num_pixels), counts), -1)
    rest = tf.linalg.matvec(tf.cast(counts, tf.float64), np.log2(widths))
    return nats / units.NATS_PER_BIT + rest


def _growth(start: float, most: int) -> tf.Tensor:
    """log Gamma(n + start) - log Gamma(start) of n = 0 to `most`: float64 `[most + 1]`."""
    return tf.math.lgamma(tf.range(most + 1, dtype=tf.float64) + start) - math.lgamma(start)
