"""A code's length is a density: what it spends on all images that could be leaves one of them."""

import errno
import functools
import importlib
import io
import itertools
import math
import sys
from unittest import mock

import numba
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfp_ood.evaluation import code_length
from tfp_ood.evaluation.code_length import compiled, counts, in_graph, predictions, rules
from tfp_ood.evaluation.code_length.in_graph import code_bits

RNG = np.random.default_rng(0)
BORDERS = (0, 1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63, 95, 127, 191, 255)
"""The least error of each size."""
VALUES = (0, 1, 4, 16, 48, 80, 112, 144, 176, 208, 240, 252, 255, 256)
"""The least value of each class."""
LEVELS = (16, 240)
"""Where values begin that are not dark, and that are bright."""


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


PLACES = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Rows above and columns left."""


def at(plane, row, column, place=(0, 0)):
    """A value of a plane, 0 outside of it."""
    row, column = row - place[0], column - place[1]
    return int(plane[row, column]) if row >= 0 and 0 <= column < plane.shape[1] else 0


def pixels(plane):
    return itertools.product(*map(range, plane.shape))


def of_each(plane, function):
    """An array of what a function says of each pixel, in the order of coding."""
    found = np.zeros(plane.shape, int)
    for row, column in pixels(plane):
        found[row, column] = function(row, column)
    return found


def medians(planes):
    """By LOCO-I."""

    def median(plane, *pixel):
        left, above, corner = (at(plane, *pixel, place) for place in PLACES[:3])
        return sorted((left, above, left + above - corner))[1]

    return [of_each(plane, functools.partial(median, plane)) for plane in planes]


def corrections(planes, middle):
    """What the best linear map of nearly white differences adds to the median, for each colour."""
    found, far = [], [plane - one for plane, one in zip(planes, middle, strict=True)]
    height, width = planes[0].shape
    inside = list(itertools.product(range(2, height), range(2, width - 1)))
    for colour, plane in enumerate(planes):

        def parts(row, column, colour=colour):
            given = [(colour, place) for place in PLACES]
            given += [(other, place) for other in range(colour) for place in PLACES[:4]]
            told = [
                at(planes[o], row, column, place) - middle[o][row, column] for o, place in given
            ]
            return np.clip(told + [far[o][row, column] for o in range(colour)], -127, 127)

        matrix = np.array([parts(*pixel) for pixel in inside], float)
        wanted = np.array([np.clip(far[colour][pixel], -127, 127) for pixel in inside], float)
        if colour:
            wanted -= [np.clip(far[0][pixel], -127, 127) for pixel in inside]
        solved = np.linalg.solve(
            matrix.T @ matrix + 10 * np.eye(matrix.shape[1]), matrix.T @ wanted
        )
        solved = np.clip(np.round(256 * solved), -512, 511) / 256
        added = np.zeros(plane.shape, int)
        for pixel in inside:
            added[pixel] = np.round(parts(*pixel) @ solved)
        found.append(added)
    return found


class Counts:
    """An adaptive code of classes in contexts, each with so many numbers."""

    def __init__(self, widths):
        self._widths, self._seen, self.bits = widths, {}, 0.0

    def spend(self, context, kind, all_kinds):
        """Codes one of a class; `all_kinds` are those of all values that could be there."""
        seen = self._seen.setdefault(context, np.full(len(self._widths), 0.5))
        shares = seen / seen.sum() / self._widths
        assert shares[all_kinds].sum() <= 1 + 1e-9  # whatever comes, it is one code
        self.bits -= math.log2(shares[kind])
        seen[kind] += 1


def of_errors():
    widths = np.diff([*BORDERS, 256])
    widths = np.concatenate([widths[:1], widths[1:].repeat(2)])
    return Counts(widths)


def of_values():
    return Counts(np.diff(VALUES))


def spend_error(counts, plane, predicted, row, column, errors, before):
    """Codes the error of one pixel, in the context of those next to it."""
    left, above, corner, right = (at(errors, row, column, place) for place in PLACES[:4])
    activity = 2 * (left + above) + corner + right
    if before is not None:
        activity += 2 * before[row, column]
    kinds = [error_class(value - predicted[row, column]) for value in range(256)]
    counts.spend(min(size_class(activity), 12), kinds[plane[row, column]], kinds)


def spend_value(counts, plane, row, column):
    """Codes one pixel, in the context of dark and bright neighbours; whether it would."""
    near = tuple(np.digitize([at(plane, row, column, o) for o in PLACES[:2] + PLACES[3:4]], LEVELS))
    kinds = np.digitize(np.arange(256), VALUES) - 1
    if counts:
        counts.spend(near, kinds[plane[row, column]], kinds)
    return near != (1, 1, 1)


def reference(image):
    """`ways` of one image, coded one pixel after the other."""
    order = [1, 0, 2] if image.shape[-1] == 3 else [0]
    planes = [image[..., colour].astype(int) for colour in order]
    middle = medians(planes)
    green = planes[0] - middle[0]
    simple = [one + (number > 0) * green for number, one in enumerate(middle)]
    is_large = image.shape[0] > 2 and image.shape[1] > 3
    added = corrections(planes, middle) if is_large else [0] * len(planes)
    found = []
    for further in ([0] * len(planes), added):
        predicted = [np.clip(a + b, 0, 255) for a, b in zip(simple, further, strict=True)]
        errors = [abs(a - b) for a, b in zip(planes, predicted, strict=True)]
        bits = []
        for number, plane in enumerate(planes):
            counts = of_errors()
            before = errors[number - 1] if number else None
            for pixel in pixels(plane):
                spend_error(counts, plane, predicted[number], *pixel, errors[number], before)
            bits.append(counts.bits + (10 * (6 + 5 * number) if further is added else 0))
        found.append(bits)
    values, mixed, wrong = of_values(), of_values(), of_errors()
    predicted = np.clip(simple[0], 0, 255)
    errors = abs(planes[0] - predicted)
    for pixel in pixels(planes[0]):
        spend_value(values, planes[0], *pixel)
        if spend_value(None, planes[0], *pixel):
            spend_value(mixed, planes[0], *pixel)
        else:
            spend_error(wrong, planes[0], predicted, *pixel, errors, None)
    first = [found[0][0], found[1][0], values.bits, mixed.bits + wrong.bits]
    return first, [bits[1:] for bits in found]


BY_GRAPH_AND_LOOPS = pytest.mark.parametrize(
    "ways", [in_graph.ways, code_length.ways], ids=["graph", "loops"]
)


@BY_GRAPH_AND_LOOPS
@pytest.mark.parametrize("shape", [(12, 9, 3), (7, 14, 1), (3, 4, 3), (2, 9, 3), (40, 33, 1)])
def test_a_coder_that_goes_from_pixel_to_pixel_comes_to_the_same_bits(shape, ways):
    """Of each pixel it knows those before it alone, and what it spends on all values is one."""
    images = drawings(2, max(shape), shape[-1])[:, : shape[0], : shape[1]]
    images[1] = np.where(RNG.random(shape) < 0.1, RNG.integers(0, 256, shape), images[1])
    first, further = ways(images)
    for number, image in enumerate(images):
        of_first, of_further = reference(image)
        np.testing.assert_allclose(first[number], of_first, atol=1e-6)
        np.testing.assert_allclose(further[number], np.reshape(of_further, (2, -1)), atol=1e-6)


@BY_GRAPH_AND_LOOPS
def test_all_images_of_two_pixels_together_are_no_more_than_one(ways):
    """Kraft's inequality, which every code keeps, of each way and of the shortest."""
    pixels = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 1, 2, 1)
    images = pixels.astype(np.uint8)
    first, further = map(np.asarray, ways(images))
    assert further.shape == (256 * 256, 2, 0)
    total = np.sum(2.0**-first, 0)
    assert np.all(total <= 1.0 + 1e-9) and np.all(total[[0, 2, 3]] > 0.3)
    assert np.sum(2.0 ** -code_bits(images).numpy()) <= 1.0


def test_errors_in_all_sizes_have_the_classes_that_are_said():
    sizes = in_graph._sizes(tf.range(256.0)).numpy()
    np.testing.assert_array_equal(sizes, [size_class(number) for number in range(256)])
    np.testing.assert_array_equal(rules.sizes(np.arange(256)), sizes)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_has_one_length_in_every_batch_graph_and_order(channels, monkeypatch):
    images = np.concatenate(
        [drawings(30, 12, channels), RNG.integers(0, 256, (5, 12, 12, channels))]
    )
    images = images.astype(np.uint8)
    expected = code_bits(tf.constant(images)).numpy()
    assert expected.shape == (35,) and expected.dtype == np.float32
    compiled_once = tf.function(
        code_bits, [tf.TensorSpec([None, 12, 12, channels], tf.uint8)], autograph=False
    )
    for size in (1, 8):
        parts = [compiled_once(images[i : i + size]) for i in range(0, 35, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(compiled_once(images[::-1]), expected[::-1])
    monkeypatch.setattr(in_graph, "_GROUP", 1000)  # 6 gray images, or 2
    np.testing.assert_array_equal(code_bits(tf.constant(images)), expected)


@pytest.mark.parametrize("area", [1, 1024, 5000])
def test_sums_of_products_are_exact(area):
    """Beyond a thousand products of 127 float32 would round them."""
    parts = RNG.integers(120, 128, (2, 7, area))
    found = in_graph._products(tf.constant(parts, tf.float32)).numpy()
    np.testing.assert_array_equal(found, parts @ parts.transpose(0, 2, 1))
    if area == 5000:
        rounded = np.float32(parts) @ np.float32(parts).transpose(0, 2, 1)
        assert np.any(rounded != found)


def test_noise_costs_what_it_is_and_what_is_flat_nearly_nothing():
    noise = RNG.integers(0, 256, (20, 16, 16, 3), np.uint8)
    bits = code_bits(tf.constant(noise)).numpy() / noise[0].size
    assert np.all((bits > 8.0) & (bits < 9.2))
    flat = np.full((1, 16, 16, 3), 130, np.uint8)
    assert code_bits(tf.constant(flat)).numpy()[0] < 300


def test_gray_in_colour_costs_little_more_than_gray():
    gray = drawings(20, 28)
    colour = code_bits(tf.constant(gray.repeat(3, -1))).numpy()
    alone = code_bits(tf.constant(gray)).numpy()
    assert np.all(colour > alone) and np.all(colour < 1.6 * alone)


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
    assert np.mean(bits) < np.mean(np.minimum(webp, png))


def images_of_all_kinds(shape):
    """What is smooth, drawn, noise, dark, bright, and of one value but for a pixel."""
    noise = RNG.integers(0, 256, (9, *shape))
    waves = np.cumsum(RNG.integers(-3, 4, (9, *shape)), 2) + 128
    lines = np.where(RNG.random((9, *shape)) < 0.1, 255, 0)
    flat = np.full((9, *shape), 3)
    flat[:, 0, 0] = noise[:, 0, 0]
    kinds = [noise, waves, lines, 255 - noise // 20, flat]
    return np.concatenate(kinds).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "shape", [(32, 32, 3), (28, 28, 1), (1, 1, 1), (2, 9, 3), (3, 3, 3), (3, 4, 1), (70, 5, 3)]
)
def test_loops_tell_the_bits_of_the_graph(shape):
    images = images_of_all_kinds(shape)
    for found, expected in zip(code_length.ways(images), in_graph.ways(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
    found = code_length.code_bits(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, code_bits(tf.constant(images)), rtol=1e-6)
    np.testing.assert_array_equal(code_length.code_bits(images[::-1]), found[::-1])
    assert code_length.code_bits(images[:0]).shape == (0,)


def test_sums_of_products_of_large_images_are_exact_in_loops():
    """2^17 products of 127 are more than int32 holds."""
    parts = RNG.integers(120, 128, (3, 2**18)).astype(np.int16)
    found = predictions._products(parts, np.triu(np.ones([3, 3], bool)))
    np.testing.assert_array_equal(found, parts.astype(np.int64) @ parts.T.astype(np.int64))
    assert found.min() > 2**31


def test_there_are_loops_of_one_kind_of_array_alone():
    """Whatever is given: to compile them takes seconds."""
    images = images_of_all_kinds((6, 7, 3))
    frozen = images.copy()
    frozen.flags.writeable = False
    for given in (images, frozen, images[:, ::-1, :, :], np.asfortranarray(images)):
        code_length.code_bits(given)
    code_length.code_bits(tf.constant(images).numpy())
    assert len(predictions.errors.signatures) == len(counts.ways.signatures) == 1


@pytest.fixture(name="added")
def _added(tmp_path, monkeypatch):
    """Imports a file of loops anew, as another process would; what is kept lies beside it."""
    monkeypatch.syspath_prepend(tmp_path)

    def imported(number):
        source = "from tfp_ood.evaluation.code_length import compiled\n\n\n"
        source += f"@compiled.outer\ndef added(a):\n    return a + {number}\n"
        (tmp_path / "loops_of_a_test.py").write_text(source)
        monkeypatch.delitem(sys.modules, "loops_of_a_test", raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("loops_of_a_test").added

    return imported


def kept(folder):
    return sorted(folder.glob("__pycache__/*.nb[ic]"))


def test_compiled_loops_are_kept_and_found_again(added, tmp_path):
    assert added(1)(2) == 3
    index, code = kept(tmp_path)
    assert added(1)(2) == 3 and kept(tmp_path) == [index, code]


@pytest.mark.parametrize("cut", [0, 1])
def test_kept_loops_that_are_cut_are_compiled_anew(cut, added, tmp_path):
    added(1)(2)
    kept(tmp_path)[cut].write_bytes(b"")
    again = added(1)
    assert again(2) == 3 and again(4) == 5


def test_loops_that_cannot_be_kept_are_compiled_and_never_taken_for_others(added, monkeypatch):
    """An index that was written before its code would lead to the code of before."""
    added(1)(2)
    with monkeypatch.context() as patched:
        refuse = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
        patched.setattr(numba.core.caching.IndexDataCacheFile, "_save_data", refuse)
        assert added(5)(2) == 7 and refuse.called
    assert added(5)(2) == 7 and added(1)(2) == 3


def test_loops_are_compiled_where_there_is_no_place_to_keep_them(monkeypatch):
    def refusing(loops, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return loops

    monkeypatch.setattr(compiled, "inner", refusing)
    assert compiled.outer(lambda number: number + 1)(2) == 3


@pytest.mark.parametrize(
    "images", [np.zeros([2, 8, 8, 2], np.uint8), np.zeros([2, 8, 8, 3], int), np.zeros([8, 8, 3])]
)
def test_what_are_no_images_is_refused(images):
    """Loops look where they are told, and check nothing."""
    with pytest.raises(ValueError, match=r"uint8 \[B, H, W, 1 or 3\].*got"):
        code_length.code_bits(images)


def test_no_loops_know_what_the_code_is_made_of_but_by_their_arguments():
    """What is kept on the disk has the digest of the loops' own file in its name."""
    for module in (predictions, counts):
        for name, value in vars(module).items():
            if hasattr(value, "py_func"):
                names = value.py_func.__code__.co_names
                assert not {"rules", "told"} & set(names), name
