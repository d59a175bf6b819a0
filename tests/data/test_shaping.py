import json

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.config import DataConfig
from tfp_ood.data.shaping import plan
from tfp_ood.errors import DataError


def _apply(image, image_shape, size_change="error", channel_change="error", native_shape=None):
    image = np.asarray(image, np.uint8)
    native_shape = native_shape or image.shape
    data = DataConfig(
        image_shape=image_shape, size_change=size_change, channel_change=channel_change
    )
    made = plan("mine", native_shape, image.shape[:2], data)
    return made.apply(tf.constant(image)).numpy(), made.record()


def test_images_in_shape_pass_bit_by_bit_whatever_is_allowed():
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    for native_shape in ((7, 5, 3), (None, None, 3), (7, 5, None), (None, None, None)):
        for size_change in ("resize", "crop", "pad"):
            result, _ = _apply(image, (7, 5, 3), size_change, "convert", native_shape)
            np.testing.assert_array_equal(result, image)


def test_shrinking_averages_areas():
    image = np.arange(16).reshape(4, 4, 1) * 10
    result, record = _apply(image, (2, 2, 1), "resize")
    # Means of the four 2 x 2 blocks: (0 + 10 + 40 + 50) / 4 = 25 and so on.
    assert result[..., 0].tolist() == [[25, 45], [105, 125]]
    assert record["size_change"] == "resize 4x4 -> 2x2"


def test_shrinking_by_a_fraction_weighs_parts_of_pixels():
    result, _ = _apply([[[0], [90], [30]]], (1, 2, 1), "resize")
    # Each half covers 1.5 pixels: (0 + 0.5 * 90) / 1.5 and (0.5 * 90 + 30) / 1.5.
    assert result.ravel().tolist() == [30, 50]


def test_growing_is_bilinear():
    result, _ = _apply([[[0], [100]]], (1, 4, 1), "resize")
    # Centres of the new pixels at -0.25, 0.25, 0.75, 1.25 of the old ones.
    assert result.ravel().tolist() == [0, 25, 75, 100]


def test_each_axis_is_resized_by_itself():
    image = np.array([[0, 100], [20, 120]])[..., None]
    result, _ = _apply(image, (1, 4, 1), "resize")
    assert result.ravel().tolist() == [10, 35, 85, 110]


def test_halves_are_rounded_to_even():
    result, _ = _apply([[[0], [1], [2], [1]]], (1, 2, 1), "resize")
    assert result.ravel().tolist() == [0, 2]  # 0.5 and 1.5


def test_crop_keeps_the_centre():
    image = np.zeros((2, 6, 1))
    image[:, 2:4] = 200
    result, record = _apply(image, (2, 2, 1), "crop")
    assert (result == 200).all()
    assert record["size_change"] == "crop 2x6 -> 2x2"
    result, _ = _apply(image.transpose(1, 0, 2), (1, 1, 1), "crop")
    assert result.item() == 200


def test_pad_puts_zeros_around_the_centre():
    result, _ = _apply(np.full((2, 2, 1), 9), (4, 5, 1), "pad")
    expected = np.zeros((4, 5))
    expected[1:3, 1:3] = 9
    np.testing.assert_array_equal(result[..., 0], expected)


def test_channels():
    gray, record = _apply(
        [[[255, 255, 255], [255, 0, 0], [0, 255, 0]]], (1, 3, 1), channel_change="convert"
    )
    assert gray.ravel().tolist() == [255, 76, 150]
    assert record["channel_change"] == "RGB -> gray"
    colour, record = _apply([[[7], [8]]], (1, 2, 3), channel_change="convert")
    assert colour.tolist() == [[[7, 7, 7], [8, 8, 8]]]
    assert record["channel_change"] == "gray -> RGB"


def test_varying_channels_are_converted_image_by_image():
    for image, wanted in (([[[7]]], 3), ([[[9, 9, 9]]], 1)):
        result, record = _apply(image, (1, 1, wanted), "error", "convert", (1, 1, None))
        assert result.shape == (1, 1, wanted)
        assert record["channel_change"].startswith("varying -> ")


@pytest.mark.parametrize(
    ("native_shape", "largest", "data", "words"),
    [
        (
            (28, 28, 1),
            (28, 28),
            DataConfig(image_shape=(32, 32, 1)),
            ["28x28 gray", "32x32 gray", "size_change=resize"],
        ),
        (
            (None, None, 3),
            (9, 9),
            DataConfig(image_shape=(8, 8, 3)),
            ["varying RGB", "size_change=resize"],
        ),
        (
            (8, 8, None),
            (8, 8),
            DataConfig(image_shape=(8, 8, 3)),
            ["8x8 gray or RGB", "channel_change=convert"],
        ),
        (
            (8, 8, 1),
            (8, 8),
            DataConfig(image_shape=(8, 8, 3)),
            ["8x8 gray", "8x8 RGB", "channel_change=convert"],
        ),
        (
            (None, 8, 1),
            (12, 8),
            DataConfig(image_shape=(9, 9, 1), size_change="pad"),
            ["12x8", "9x9", "size_change=resize"],
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_would_help(native_shape, largest, data, words):
    with pytest.raises(DataError) as error:
        plan("mine", native_shape, largest, data)
    for word in ("mine", *words):
        assert word in str(error.value)


def test_the_record_is_json():
    _, record = _apply(np.zeros((2, 3, 3)), (4, 4, 1), "resize", "convert", (None, None, 3))
    assert json.loads(json.dumps(record)) == {
        "native_shape": [None, None, 3],
        "image_shape": [4, 4, 1],
        "size_change": "resize varying -> 4x4",
        "channel_change": "RGB -> gray",
    }
