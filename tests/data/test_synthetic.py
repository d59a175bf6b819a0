import hashlib

import numpy as np
import pytest
from scipy import ndimage

from tfp_ood.config import ConfigError, DataConfig
from tfp_ood.data import specs
from tfp_ood.data.pipeline import load, open_split

SMALL = DataConfig(image_shape=(6, 5, 3))
NOISE_DIGEST = "70b9c20e7c6e178054784dda1d5c5fc3c7853c632369578c1650fa447d56e451"


def test_constant_has_one_image_per_gray_level():
    images, labels = load(open_split("constant", "out", SMALL, None))
    assert images.shape == (256, 6, 5, 3)
    np.testing.assert_array_equal(images, np.arange(256)[:, None, None, None] + 0 * images)
    assert set(labels) == {-1}


def test_noise_is_uniform_and_its_images_are_functions_of_their_index():
    split = open_split("noise", "out", SMALL, None)
    images, _ = load(split)
    assert len(images) == split.num_images == 10_000
    counts = np.bincount(images.ravel(), minlength=256)
    expected = images.size / 256
    # 255 degrees of freedom: the mean of chi squared is 255, its standard deviation 22.6.
    assert 160 < ((counts - expected) ** 2 / expected).sum() < 350
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    some, _ = load(open_split("noise", "out", DataConfig(image_shape=(6, 5, 3), num_test=9), None))
    assert {image.tobytes() for image in some} <= {image.tobytes() for image in images}


def test_noise_stays_the_same_over_versions():
    images, _ = load(open_split("noise", "out", DataConfig(image_shape=(2, 2, 1)), None))
    assert hashlib.sha256(images[:3].tobytes()).hexdigest() == NOISE_DIGEST


def test_a_computed_set_can_be_trained_on():
    parts = {
        role: load(open_split("constant", role, SMALL, None))[0][:, 0, 0, 0]
        for role in ("train", "validation", "test")
    }
    assert [len(part) for part in parts.values()] == [191, 40, 25]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(256))


@pytest.mark.parametrize("name", ["noise", "constant"])
def test_computed_sets_need_no_change(name):
    split = open_split(name, "out", SMALL, None)
    assert (split.name, split.split, split.native_shape) == (name, "all", (6, 5, 3))
    assert split.preprocessing["size_change"] == split.preprocessing["channel_change"] == "none"


@pytest.fixture(name="own")
def _own(tmp_path):
    """An array of images as the in-distribution set."""
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3), np.uint8)
    np.save(tmp_path / "own.npy", images)
    return DataConfig(in_distribution=f"array:{tmp_path / 'own.npy'}", image_shape=(4, 5, 3))


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_own_test_images_with_less_contrast(own, factor):
    images, _ = load(open_split(own.in_distribution, "test", own, None))
    values = images.astype(np.float32)
    for kind, anchor in (("contrast", values.mean((1, 2, 3), keepdims=True)), ("dimmed", 0.0)):
        split = open_split(f"{kind}:{factor}", "out", own, None)
        expected = np.round(anchor + factor * (values - anchor))
        np.testing.assert_array_equal(load(split)[0], expected)
        assert (split.name, split.split) == (f"{kind}:{factor}", "test")
        assert split.preprocessing["reduction"]["factor"] == factor


@pytest.mark.parametrize("name", ["contrast:", "contrast:x", "dimmed:1.5", "dimmed:nan"])
def test_a_factor_is_a_number_from_0_to_1(name):
    with pytest.raises(ConfigError, match="a number from 0 to 1 after"):
        specs.parse(name, "data.out_of_distribution")


def test_reduced_images_are_no_set_to_train_on():
    with pytest.raises(ConfigError, match="a set of its own"):
        specs.parse("contrast:0.5", "data.in_distribution")


def _corrupted(own, name):
    split = open_split(name, "out", own, None)
    assert (split.name, split.split, split.num_images) == (name, "test", 3)
    assert split.preprocessing["corruption"]["kind"] == name.partition(":")[0]
    images, _ = load(split)
    assert images.dtype == np.uint8 and images.shape == (3, 4, 5, 3)
    return images


def test_negatives_and_turned_images(own):
    images, _ = load(open_split(own.in_distribution, "test", own, None))
    np.testing.assert_array_equal(_corrupted(own, "inverted"), 255 - images)
    np.testing.assert_array_equal(_corrupted(own, "upside_down"), images[:, ::-1, ::-1])


def test_blur_is_a_gaussian(own):
    images, _ = load(open_split(own.in_distribution, "test", own, None))
    expected = ndimage.gaussian_filter(
        images.astype(np.float64), (0, 1.2, 1.2, 0), mode="nearest", radius=(0, 4, 4, 0)
    )
    assert np.abs(_corrupted(own, "blurred:1.2") - expected).max() <= 0.51


def test_noise_has_the_strength_and_stays_the_same(tmp_path):
    np.save(
        tmp_path / "gray.npy",
        np.full([30, 40, 40, 3], 128, np.uint8)
        + np.arange(30)[:, None, None, None].astype(np.uint8),
    )
    own = DataConfig(in_distribution=f"array:{tmp_path / 'gray.npy'}", image_shape=(40, 40, 3))
    images, _ = load(open_split(own.in_distribution, "test", own, None))
    split = open_split("noisy:20", "out", own, None)
    noise = load(split)[0].astype(np.float64) - images
    assert noise.std() == pytest.approx(20, rel=0.05) and abs(noise.mean()) < 1
    assert np.abs(np.corrcoef(noise.reshape(3, -1)) - np.eye(3)).max() < 0.1
    np.testing.assert_array_equal(load(split)[0] - images.astype(np.float64), noise)


def test_jpeg_loses_more_at_lower_quality(own):
    images, _ = load(open_split(own.in_distribution, "test", own, None))
    errors = [np.abs(_corrupted(own, f"jpeg:{q}") - 1.0 * images).mean() for q in (95, 10)]
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize("name", ["blurred:", "blurred:0", "noisy:x", "jpeg:101", "jpeg:nan"])
def test_a_strength_is_a_number_in_its_range(name):
    with pytest.raises(ConfigError, match=r"from .* to .*, after"):
        specs.parse(name, "data.out_of_distribution")


@pytest.mark.parametrize("name", ["inverted", "jpeg:50"])
def test_damaged_images_are_no_set_to_train_on(name):
    with pytest.raises(ConfigError, match="a set of its own"):
        specs.parse(name, "data.in_distribution")
