"""Tests of white noise against their formulas in float64, on noise and on what is none."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tfp_ood.models import whiteness

NOISE = np.random.default_rng(0).normal(size=(6, 7, 10, 3)).astype(np.float32)
SHAPES = [(28, 28, 1), (7, 10, 3), (8, 1, 2), (1, 9, 1)]


def noises(shape, count=4, seed=0):
    """White noise, heavy tails, few values, and a slope, one after the other."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(count, *shape))
    slope = np.linspace(-1, 1, np.prod(shape)).reshape(shape)
    made = [normal, rng.standard_t(2, size=normal.shape), np.sign(normal), normal * 0.1 + slope]
    return np.concatenate(made).astype(np.float32)


def standardised(noise):
    """float64 `[B, H, W, C]`, of mean 0 and deviation 1 in each image."""
    noise = np.float64(noise)
    centred = noise - noise.mean(axis=(1, 2, 3), keepdims=True)
    return centred / centred.std(axis=(1, 2, 3), keepdims=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_anderson_darling_is_its_formula(shape):
    noise = noises(shape)
    n = np.prod(shape)
    ordered = np.sort(standardised(noise).reshape(-1, n), axis=1)
    logs = special.log_ndtr(ordered) + special.log_ndtr(-ordered[:, ::-1])
    expected = -n - np.mean((2 * np.arange(1, n + 1) - 1) * logs, axis=1)
    found = whiteness.tests(noise, "all")["anderson_darling.all"]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.007)


def test_noise_that_is_no_number_stops_nothing():
    """A training that diverged is told by its likelihood."""
    noise = np.full((2, 4, 4, 1), np.nan, np.float32)
    noise[1, 0, 0, 0] = np.inf
    whiteness.tests(noise, "z")["anderson_darling.z"].numpy()
    assert set(whiteness.tests(noise, "z")) == {f"{name}.z" for name in whiteness.TESTS}


@pytest.mark.parametrize("shape", SHAPES)
def test_flatness_is_that_of_numpys_power_spectrum(shape):
    noise = noises(shape)
    power = np.square(np.abs(np.fft.rfft2(standardised(noise), axes=(1, 2))))
    power = np.moveaxis(power, 3, 1).reshape(len(noise), shape[2], -1)[..., 1:]
    expected = power.std(axis=(1, 2)) / power.mean(axis=(1, 2))
    found = whiteness.tests(noise, "all")["flatness.all"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_other_tests_are_their_formulas():
    noise = noises((7, 10, 3))
    z, found = standardised(noise), whiteness.tests(noise, "level_1")
    assert list(found) == [f"{name}.level_1" for name in whiteness.TESTS]
    np.testing.assert_allclose(found["mean.level_1"], noise.mean(axis=(1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(found["kurtosis.level_1"], (z**4).mean(axis=(1, 2, 3)), rtol=1e-4)
    rows = (z[:, 1:] * z[:, :-1]).mean(axis=(1, 2, 3))
    columns = (z[:, :, 1:] * z[:, :, :-1]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found["autocorrelation.level_1"], (rows + columns) / 2, atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 12)])
def test_white_noise_has_the_values_that_are_promised(shape):
    """The mean over 300 images, within five standard errors of it."""
    noise = np.random.default_rng(1).normal(size=(300, *shape)).astype(np.float32)
    found = whiteness.tests(noise, "z")
    expected = {"anderson_darling": 0.38, "flatness": 1.04, "kurtosis": 3.0, "mean": 0.0}
    for name, value in {**expected, "autocorrelation": 0.0}.items():
        values = found[f"{name}.z"].numpy()
        slack = 5 * values.std() / np.sqrt(300) + {"flatness": 0.05}.get(name, 0.01)
        assert abs(values.mean() - value) < slack, name


def test_what_is_no_white_noise_has_others():
    """Smoothed noise is not flat and has like neighbours; values that are all 1 or -1 no tails."""
    white = np.random.default_rng(2).normal(size=(8, 16, 16, 1)).astype(np.float32)
    smooth = white + np.roll(white, 1, axis=1) + np.roll(white, 1, axis=2)
    usual, found = (whiteness.tests(noise, "z") for noise in (white, smooth))
    for name in ("flatness.z", "autocorrelation.z"):
        assert np.min(found[name]) > np.max(usual[name])
    signs = whiteness.tests(np.sign(white), "z")
    assert np.min(signs["anderson_darling.z"]) > 20 and np.max(signs["kurtosis.z"]) < 1.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 5, 1), (5, 1, 3), (6, 6, 1)])
def test_all_noise_has_finite_tests(shape):
    """Constants too, of any size, and a single odd pixel."""
    constants = np.array([0.0, 1e-6, 0.1, -5.3, 5.3, 1e4], np.float32)
    noise = np.concatenate([np.ones((6, *shape), np.float32) * constants[:, None, None, None]] * 2)
    noise[6:, 0, 0, 0] += 1.0
    for name, values in whiteness.tests(noise, "z").items():
        assert values.shape == [12] and np.all(np.isfinite(values)), name


def test_an_images_tests_are_its_own():
    noise = noises((7, 10, 3))
    whole = whiteness.tests(noise, "z")
    for part in (slice(0, 1), slice(3, 10), slice(15, 2, -1)):
        for name, values in whiteness.tests(noise[part], "z").items():
            np.testing.assert_allclose(values, whole[name].numpy()[part], rtol=1e-5, atol=1e-5)


def test_normal_scores_are_normal():
    """Of values 0 to 3 drawn with their own probabilities; and each is within its value's share."""
    rng, mass = np.random.default_rng(0), np.array([0.1, 0.4, 0.2, 0.3], np.float32)
    values, noise = rng.choice(4, 20_000, p=mass), rng.uniform(size=20_000).astype(np.float32)
    below = (np.cumsum(mass) - mass)[values]
    scores = whiteness.normal_scores(below, mass[values], noise).numpy()
    assert abs(scores.mean()) < 0.03 and abs(scores.std() - 1.0) < 0.03
    uniform = special.ndtr(np.float64(scores))
    np.testing.assert_allclose(uniform, below + mass[values] * noise, atol=1e-6)


def test_normal_scores_are_finite_however_sure_the_model_was():
    """All mass below, all above, and rounding errors beyond 1."""
    below = tf.constant([0.0, 1.0, 0.0, 1.0000001, 1.0])
    mass = tf.constant([0.0, 0.0, 1.0, 1e-7, 1e-7])
    for noise in (0.0, 0.5, 1 - 2.0**-23):
        scores = whiteness.normal_scores(below, mass, tf.fill([5], noise))
        assert np.all(np.abs(scores) < 5.5)
