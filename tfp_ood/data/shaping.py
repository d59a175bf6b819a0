"""One way of bringing images of any size and channel count to the shape of the model.

The plan for a set is made, or refused, before any work; images that are in shape already pass
through bit by bit. Sizes are written height x width.

- resize: each axis by itself, by area averages where it shrinks and bilinearly where it grows
  (shrinking axes first), rounded to the nearest integer, halves to even.
- crop: the largest centred part with the model's aspect ratio, then as resize.
- pad: zeros around the image, which must not be larger than the model's.
- convert: gray is repeated in all three channels; RGB becomes luma (0.299 R + 0.587 G + 0.114 B).
"""

import dataclasses
from typing import Any

import tensorflow as tf

from tfp_ood.config import DataConfig
from tfp_ood.data.specs import Shape
from tfp_ood.errors import DataError

_CHANNEL_NAMES = {1: "gray", 3: "RGB", None: "varying"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done to the images of one set."""

    native_shape: Shape
    image_shape: tuple[int, int, int]
    size_change: str
    """`none`, `resize`, `crop` or `pad`."""
    channel_change: str
    """`none` or `convert`."""

    @property
    def changes(self) -> bool:
        """Whether `apply` does anything."""
        return (self.size_change, self.channel_change) != ("none", "none")

    def record(self) -> dict[str, Any]:
        """The same for people and JSON, such as `{"size_change": "resize 512x341 -> 32x32"}`."""
        native, model = self.native_shape, self.image_shape
        size = channels = "none"
        if self.size_change != "none":
            size = f"{self.size_change} {_size_name(native)} -> {_size_name(model)}"
        if self.channel_change != "none":
            channels = f"{_CHANNEL_NAMES[native[2]]} -> {_CHANNEL_NAMES[model[2]]}"
        return {
            "native_shape": list(native),
            "image_shape": list(model),
            "size_change": size,
            "channel_change": channels,
        }

    def apply(self, image: tf.Tensor) -> tf.Tensor:
        """Brings one uint8 image [h, w, c] to uint8 `image_shape`."""
        if self.size_change != "none":
            image = _SIZE_CHANGES[self.size_change](image, *self.image_shape[:2])
        if self.channel_change == "convert":
            image = _convert_channels(image, self.native_shape[2], self.image_shape[2])
        return tf.ensure_shape(image, self.image_shape)


def plan(name: str, native_shape: Shape, largest: tuple[int, int], data: DataConfig) -> Plan:
    """Decides what to do to images of `native_shape` (None where they differ).

    Args:
      name: the set, as in the config; for messages.
      native_shape: of the images, None where it varies.
      largest: the largest height and the largest width of all images.
      data: says which shape is wanted and which changes are allowed.

    Raises:
      DataError: a change is needed that the config does not allow, or that cannot be made.
    """
    model = data.image_shape
    size = "none" if native_shape[:2] == model[:2] else data.size_change
    channels = "none" if native_shape[2] == model[2] else data.channel_change
    hints = {"size": "size_change=resize (or crop, or pad)", "channels": "channel_change=convert"}
    for what, change in (("size", size), ("channels", channels)):
        if change == "error":
            raise DataError(
                f"{name}: the images are {_describe(native_shape)}, the model's "
                f"{_describe(model)}. Allow a change of {what} with --config.data.{hints[what]}, "
                "before the training: a trained model keeps what it was trained with."
            )
    if size == "pad" and (largest[0] > model[0] or largest[1] > model[1]):
        raise DataError(
            f"{name}: images of up to {_size_name(largest)} cannot be padded to the model's "
            f"{_size_name(model)}. Use --config.data.size_change=resize (or crop)."
        )
    return Plan(native_shape, model, size, channels)


def _describe(shape: Shape) -> str:
    channels = "gray or RGB" if shape[2] is None else _CHANNEL_NAMES[shape[2]]
    return f"{_size_name(shape)} {channels}"


def _size_name(shape: tuple[int | None, ...]) -> str:
    return "varying" if None in shape[:2] else f"{shape[0]}x{shape[1]}"


def _resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    size = tf.shape(image)
    smaller = tf.minimum(size[:2], [height, width])
    shrunk = tf.image.resize(image, smaller, method="area")
    grown = tf.image.resize(shrunk, [height, width], method="bilinear")
    return tf.cast(tf.round(grown), tf.uint8)


def _crop(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    size = tf.shape(image)
    crop_height = tf.minimum(size[0], _divide_rounded(size[1] * height, width))
    crop_width = tf.minimum(size[1], _divide_rounded(size[0] * width, height))
    top, left = (size[0] - crop_height) // 2, (size[1] - crop_width) // 2
    part = image[top : top + crop_height, left : left + crop_width]
    return _resize(part, height, width)


def _divide_rounded(numerator: tf.Tensor, denominator: int) -> tf.Tensor:
    """The nearest integer to the quotient, at least 1."""
    return tf.maximum(1, (2 * numerator + denominator) // (2 * denominator))


def _pad(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    size = tf.shape(image)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return tf.image.pad_to_bounding_box(image, top, left, height, width)


_SIZE_CHANGES = {"resize": _resize, "crop": _crop, "pad": _pad}


def _convert_channels(image: tf.Tensor, native: int | None, wanted: int) -> tf.Tensor:
    convert = tf.image.grayscale_to_rgb if wanted == 3 else _to_gray

    def converted() -> tf.Tensor:
        return convert(tf.ensure_shape(image, [None, None, 4 - wanted]))

    if native is not None:
        return converted()
    is_in_shape = tf.equal(tf.shape(image)[-1], wanted)
    return tf.cond(is_in_shape, lambda: tf.ensure_shape(image, [None, None, wanted]), converted)


def _to_gray(image: tf.Tensor) -> tf.Tensor:
    # As floats: on integers TensorFlow cuts fractions off instead of rounding them.
    luma = tf.image.rgb_to_grayscale(tf.cast(image, tf.float32))
    return tf.cast(tf.round(luma), tf.uint8)
