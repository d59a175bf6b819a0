"""Where parameters meet images in a graph: each image's gradient of the parameter, by operation.

A kernel's gradient over a batch is one product that sums over images too. Here the sum stops
before: from dY `[B, ...]`, what one backward pass gives for the operation's output, and the
operation's other input, each rule makes the gradient of every image, `[B, *shape of parameter]`.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


def of_parameter(
    op: tf.Operation, place: int, gradient: tf.Tensor, num_images: tf.Tensor
) -> tf.Tensor:
    """The gradient of each image with respect to an input that all images share.

    Args:
      op: whose outputs have the images along their first axis, or images times rows of each.
      place: of the shared input among the inputs.
      gradient: of the sum over images, with respect to the output of `op`.
      num_images: B, int32 `[]`.

    Returns:
      float32 `[B, *shape of the input]`.

    Raises:
      NotImplementedError: there is no rule for this operation; names it.
    """
    if op.type not in _RULES:
        raise NotImplementedError(
            f"{op.name}: no rule for each image's gradient of input {place} of {op.type}; "
            f"there are rules for {', '.join(_RULES)}."
        )
    return _RULES[op.type](op, place, tf.cast(gradient, tf.float32), num_images)


Rule = Callable[[tf.Operation, int, tf.Tensor, tf.Tensor], tf.Tensor]


def _elementwise(by_element: Callable[[tf.Operation, int, tf.Tensor], tf.Tensor]) -> Rule:
    """The rule of an operation that broadcasts, from the gradient before it is summed."""

    def rule(op: tf.Operation, place: int, gradient: tf.Tensor, num_images: tf.Tensor) -> tf.Tensor:
        values = by_element(op, place, gradient)
        return _summed(op, values, op.inputs[place].shape, num_images)

    return rule


def _summed(
    op: tf.Operation, values: tf.Tensor, shape: tf.TensorShape, num_images: tf.Tensor
) -> tf.Tensor:
    """Values `[N, ...]` summed over what a parameter was broadcast to: `[B, *shape]`."""
    rank, added = values.shape.rank, values.shape.rank - shape.rank
    if rank == 0 or (added == 0 and shape[0] != 1):
        raise NotImplementedError(f"{op.name}: a parameter has an axis where the images are")
    aligned = [1] * added + shape.as_list()
    # Rows of one image follow each other, so that [N, ...] is [B, N / B, ...].
    rows = tf.reshape(values, tf.concat([[num_images, -1], tf.shape(values)[1:]], 0))
    rows.set_shape([None, None, *values.shape[1:]])
    axes = [1, *(1 + i for i in range(1, rank) if aligned[i] == 1)]
    return tf.reshape(tf.reduce_sum(rows, axes), [num_images, *shape.as_list()])


def _of_sum(op: tf.Operation, place: int, gradient: tf.Tensor) -> tf.Tensor:
    return gradient


def _of_difference(op: tf.Operation, place: int, gradient: tf.Tensor) -> tf.Tensor:
    return gradient if place == 0 else -gradient


def _of_product(op: tf.Operation, place: int, gradient: tf.Tensor) -> tf.Tensor:
    return gradient * _float(op.inputs[1 - place])


def _of_quotient(op: tf.Operation, place: int, gradient: tf.Tensor) -> tf.Tensor:
    by_numerator = gradient / _float(op.inputs[1])
    return by_numerator if place == 0 else -by_numerator * _float(op.outputs[0])


def _of_squared_difference(op: tf.Operation, place: int, gradient: tf.Tensor) -> tf.Tensor:
    first, second = map(_float, op.inputs)
    return (2.0 if place == 0 else -2.0) * gradient * (first - second)


def _of_matmul(
    op: tf.Operation, place: int, gradient: tf.Tensor, num_images: tf.Tensor
) -> tf.Tensor:
    """Of X W with rows `[N, I]`, or with more axes before the last."""
    is_batch = op.type != "MatMul"
    transposed = [op.get_attr(name) for name in (("adj_x", "adj_y") if is_batch else _TRANSPOSE)]
    if place != 1 or transposed[0] or op.inputs[1].shape.rank != 2:
        raise NotImplementedError(f"{op.name}: rows of images, times a matrix that all share")
    inputs = _rows(op.inputs[0], num_images)
    outputs = _rows(gradient, num_images)
    return tf.matmul(*((outputs, inputs) if transposed[1] else (inputs, outputs)), transpose_a=True)


_TRANSPOSE = ("transpose_a", "transpose_b")


def _rows(values: tf.Tensor, num_images: tf.Tensor) -> tf.Tensor:
    """`[..., C]` as float32 `[B, rows, C]`."""
    return tf.reshape(_float(values), [num_images, -1, values.shape[-1]])


def _of_conv2d(
    op: tf.Operation, place: int, gradient: tf.Tensor, num_images: tf.Tensor
) -> tf.Tensor:
    return _of_kernel(op, op.inputs[0], gradient, num_images)


def _of_transposed_conv2d(
    op: tf.Operation, place: int, gradient: tf.Tensor, num_images: tf.Tensor
) -> tf.Tensor:
    """A transposed convolution is the gradient of one whose output was what now is the input."""
    return _of_kernel(op, gradient, op.inputs[2], num_images)


class _Axis(NamedTuple):
    """How a kernel of `taps` moves along an axis of images."""

    taps: int
    stride: int
    dilation: int
    before: int
    """Zeros before the first pixel."""
    inputs: int
    outputs: int


def _of_kernel(
    op: tf.Operation, inputs: tf.Tensor, outputs: tf.Tensor, num_images: tf.Tensor
) -> tf.Tensor:
    """The gradient of a kernel, by images that enter and the gradients `outputs` of what leaves.

    The kernel's every tap is a product of images, shifted, with gradients. Whichever of both has
    fewer channels is shifted, and all its shifts stand beside each other in one product.
    """
    if op.get_attr("data_format") != b"NHWC":
        raise NotImplementedError(f"{op.name}: channels are the last axis of images")
    kernel, inputs, outputs = op.inputs[1].shape, _float(inputs), _float(outputs)
    axes = [_axis(op, i, kernel[i - 1], inputs.shape[i], outputs.shape[i]) for i in (1, 2)]
    flat_taps = math.prod(kernel[:2])
    if outputs.shape[3] < inputs.shape[3] and all(a.stride == a.dilation == 1 for a in axes):
        shifted = _shifted_outputs(outputs, axes)
        by_channel = tf.matmul(_rows(inputs, num_images), shifted, transpose_a=True)
        by_channel = tf.reshape(by_channel, [num_images, kernel[2], flat_taps, kernel[3]])
        by_tap = tf.transpose(by_channel, [0, 2, 1, 3])
    else:
        shifted = _shifted_inputs(inputs, axes)
        by_tap = tf.matmul(shifted, _rows(outputs, num_images), transpose_a=True)
    return tf.reshape(by_tap, [num_images, *kernel])


def _axis(op: tf.Operation, axis: int, taps: int, inputs: int, outputs: int) -> _Axis:
    stride, dilation = op.get_attr("strides")[axis], op.get_attr("dilations")[axis]
    padding, before = op.get_attr("padding"), 0
    if padding == b"SAME":
        before = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - inputs, 0) // 2
    elif padding == b"EXPLICIT":
        before = op.get_attr("explicit_paddings")[2 * axis]
    return _Axis(taps, stride, dilation, before, inputs, outputs)


def _shifted_inputs(inputs: tf.Tensor, axes: Sequence[_Axis]) -> tf.Tensor:
    """What each tap sees, `[B, pixels of the output, taps * channels]`."""
    reach = [a.stride * (a.outputs - 1) + 1 for a in axes]
    ends = [
        max(0, r + a.dilation * (a.taps - 1) - a.before - a.inputs)
        for r, a in zip(reach, axes, strict=True)
    ]
    padding = [(a.before, end) for a, end in zip(axes, ends, strict=True)]
    starts = [[a.dilation * tap for tap in range(a.taps)] for a in axes]
    return _beside_each_other(inputs, padding, starts, reach, [a.stride for a in axes])


def _shifted_outputs(outputs: tf.Tensor, axes: Sequence[_Axis]) -> tf.Tensor:
    """Which gradients each tap leads to, `[B, pixels of the input, taps * channels]`."""
    padding = [(a.taps - 1 - a.before, a.inputs + a.before - a.outputs) for a in axes]
    starts = [[a.taps - 1 - tap for tap in range(a.taps)] for a in axes]
    return _beside_each_other(outputs, padding, starts, [a.inputs for a in axes], [1, 1])


def _beside_each_other(
    images: tf.Tensor,
    padding: Sequence[tuple[int, int]],
    starts: Sequence[Sequence[int]],
    reach: Sequence[int],
    strides: Sequence[int],
) -> tf.Tensor:
    """Padded images from every pair of starts on, `[B, pixels, starts * channels]`."""
    padded = tf.pad(images, [(0, 0), *padding, (0, 0)])
    (rows, columns), (height, width) = starts, reach
    shifts = [
        padded[:, i : i + height : strides[0], j : j + width : strides[1]]
        for i in rows
        for j in columns
    ]
    together = tf.concat(shifts, -1) if len(shifts) > 1 else shifts[0]
    num_pixels = math.prod(-(-r // s) for r, s in zip(reach, strides, strict=True))
    return tf.reshape(together, [-1, num_pixels, together.shape[-1]])


def _float(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.float32)


_RULES: dict[str, Rule] = {
    "AddV2": _elementwise(_of_sum),
    "BatchMatMulV2": _of_matmul,
    "BiasAdd": _elementwise(_of_sum),
    "BroadcastTo": _elementwise(_of_sum),
    "Conv2D": _of_conv2d,
    "Conv2DBackpropInput": _of_transposed_conv2d,
    "MatMul": _of_matmul,
    "Mul": _elementwise(_of_product),
    "RealDiv": _elementwise(_of_quotient),
    "SquaredDifference": _elementwise(_of_squared_difference),
    "Sub": _elementwise(_of_difference),
}
"""By the type of the operation."""
