"""A code's length is a density: what it spends on all images that could be leaves one of them."""

import io
import itertools
import math

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfp_ood.evaluation import code_length
from tfp_ood.evaluation.code_length import code_bits, ways

RNG = np.random.default_rng(0)
BORDERS = (0, 1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63, 95, 127, 191, 255)
"""The least error of each size."""


def drawings(count, side=12, channels=1):
    """Blobs on black with a gradient: smooth, flat and sharp parts."""
    rows, columns = np.mgrid[:side, :side]
    places = RNG.uniform(2, side - 2, (count, 2, 1, 1))
    far = np.hypot(rows - places[:, 0], columns - places[:, 1])
    bright = np.where(far < 3, 255 - 20 * far, np.where(far < 4, 90, 0))[..., None]
    tilted = bright * RNG.uniform(0.5, 1, (count, 1, 1, channels)) + RNG.normal(0, 3, bright.shape)
    return np.clip(tilted, 0, 255).astype(np.uint8)


def size_class(number):
    return max(place for place, least in enumerate(BORDERS) if number >= least)


def error_class(error):
    return 2 * size_class(abs(error)) - (error > 0)


def reference(image, prior):
    """Bits of a gray image by median prediction, coded one pixel after the other.

    Of each pixel the probabilities of all 256 values are told, from the counts so far.
    """
    pixels = np.pad(image.astype(int), ((1, 0), (1, 0)))
    errors = np.zeros([image.shape[0] + 1, image.shape[1] + 2], int)
    counts, bits = prior.copy(), 0.0
    widths = np.diff([*BORDERS, 256])
    for row, column in itertools.product(*map(range, image.shape)):
        left, above, corner = pixels[row + 1, column], pixels[row, column + 1], pixels[row, column]
        predicted = sorted((left, above, left + above - corner))[1]
        near = 2 * (errors[row + 1, column] + errors[row, column + 1])
        near += errors[row, column] + errors[row, column + 2]
        context = min(size_class(near), 12)
        shares = counts[context] / counts[context].sum()
        per_value = [
            shares[error_class(value - predicted)] / widths[size_class(abs(value - predicted))]
            for value in range(256)
        ]
        assert sum(per_value) <= 1.0 + 1e-9
        value = image[row, column]
        bits -= math.log2(per_value[value])
        counts[context, error_class(value - predicted)] += 1
        errors[row + 1, column + 1] = abs(value - predicted)
    return bits


def test_it_is_the_length_of_an_adaptive_code():
    images = drawings(6, 9)
    first, _ = ways(tf.constant(images))
    prior = code_length._prior(6.0)
    for image, bits in zip(images, first[:, 0].numpy(), strict=True):
        assert bits == pytest.approx(reference(image[..., 0], prior), abs=1e-6)


def test_values_in_patterns_are_an_adaptive_code_too():
    """Contexts of left, above and above right: dark below 16, bright from 240 on."""
    images = drawings(6, 9)
    first, _ = ways(tf.constant(images))
    borders = (0, 1, 4, 16, 48, 80, 112, 144, 176, 208, 240, 252, 255, 256)
    for image, found in zip(images[..., 0].astype(int), first[:, 2].numpy(), strict=True):
        padded, bits, counts = np.pad(image, ((1, 0), (1, 1))), 0.0, {}
        for row, column in itertools.product(range(9), range(9)):
            near = padded[row + 1, column], padded[row, column + 1], padded[row, column + 2]
            context = tuple(np.digitize(near, (16, 240)))
            kind = int(np.digitize(image[row, column], borders)) - 1
            seen = counts.setdefault(context, np.full(13, 1 / 13))
            bits -= math.log2(seen[kind] / seen.sum() / (borders[kind + 1] - borders[kind]))
            seen[kind] += 1
        assert found == pytest.approx(bits, abs=1e-6)


def test_all_images_of_two_pixels_together_are_no_more_than_one():
    """Kraft's inequality, which every code keeps, of each way and of the shortest."""
    pixels = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 1, 2, 1)
    images = tf.constant(pixels.astype(np.uint8))
    first, further = ways(images)
    assert further.shape == (256 * 256, 2, 0)
    total = np.sum(2.0 ** -first.numpy(), 0)
    assert np.all(total <= 1.0 + 1e-9) and np.all(total[[0, 2, 3]] > 0.4)
    assert np.sum(2.0 ** -code_bits(images).numpy()) <= 1.0


def test_errors_in_all_sizes_have_the_classes_that_are_said():
    sizes = code_length._sizes(tf.range(256.0)).numpy()
    np.testing.assert_array_equal(sizes, [size_class(number) for number in range(256)])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_has_one_length_in_every_batch_graph_and_order(channels, monkeypatch):
    images = np.concatenate(
        [drawings(30, 12, channels), RNG.integers(0, 256, (5, 12, 12, channels))]
    )
    images = images.astype(np.uint8)
    expected = code_bits(tf.constant(images)).numpy()
    assert expected.shape == (35,) and expected.dtype == np.float32
    in_graph = tf.function(
        code_bits, [tf.TensorSpec([None, 12, 12, channels], tf.uint8)], autograph=False
    )
    for size in (1, 8):
        parts = [in_graph(images[i : i + size]) for i in range(0, 35, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(in_graph(images[::-1]), expected[::-1])
    monkeypatch.setattr(code_length, "_GROUP", 1000)  # 6 gray images, or 2
    np.testing.assert_array_equal(code_bits(tf.constant(images)), expected)


def test_more_than_float32_can_add_exactly_is_added_in_float64():
    """The linear prediction of a large picture beats the median where that is a poor one."""
    rows, columns = np.mgrid[:48, :48]
    waves = 128 + 60 * np.sin(rows / 5) * np.cos(columns / 4) + 40 * np.sin((rows + columns) / 7)
    pictures = np.stack([waves, waves.T])[..., None].astype(np.uint8)
    first, _ = ways(tf.constant(pictures))
    assert np.all(first[:, 1] < 0.8 * first[:, 0])


def test_noise_costs_what_it_is_and_what_is_flat_nearly_nothing():
    noise = RNG.integers(0, 256, (20, 16, 16, 3), np.uint8)
    bits = code_bits(tf.constant(noise)).numpy() / noise[0].size
    assert np.all((bits > 8.0) & (bits < 9.2))
    flat = np.full((1, 16, 16, 3), 130, np.uint8)
    assert code_bits(tf.constant(flat)).numpy()[0] < 100


def test_gray_in_colour_costs_little_more_than_gray():
    gray = drawings(20, 28)
    colour = code_bits(tf.constant(gray.repeat(3, -1))).numpy()
    alone = code_bits(tf.constant(gray)).numpy()
    assert np.all(colour > alone) and np.all(colour < 1.25 * alone)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 5, 3), (2, 9, 1), (3, 3, 3), (3, 4, 3), (5, 4, 1)]
)
def test_small_images_have_a_length(shape):
    images = RNG.integers(0, 256, (4, *shape), np.uint8)
    bits = code_bits(tf.constant(images)).numpy()
    assert np.all(np.isfinite(bits)) and np.all(bits > 0)
    assert code_bits(tf.constant(images[:0])).shape == (0,)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_shorter_than_files(channels):
    images = drawings(50, 28, channels)

    def size(image, kind, **how):
        file = io.BytesIO()
        PIL.Image.fromarray(image.repeat(3 // channels, -1)).save(file, kind, **how)
        return 8 * len(file.getvalue())

    webp = np.array([size(image, "WEBP", lossless=True) for image in images])
    png = np.array([size(image, "PNG", compress_level=9) for image in images])
    bits = code_bits(tf.constant(images)).numpy()
    assert np.all(bits < np.minimum(webp, png))
