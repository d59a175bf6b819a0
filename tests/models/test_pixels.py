"""Pixel likelihoods: mass one, and equal to TFP's distributions."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.models import pixels

tfd = tfp.distributions

VALUES = np.arange(256)


def random_parameters(kind, count=40, seed=0):
    """Numbers far wider than a trained network's, so that every branch is taken."""
    rng = np.random.default_rng(seed)
    if kind == "categorical":
        return rng.normal(0, 20, (count, 256)).astype(np.float32)
    location, log_scale = rng.uniform(-2, 2, count), rng.uniform(-9, 3, count)
    return np.stack([location, log_scale], -1).astype(np.float32)


def of_all_values(parameters):
    """Each row of parameters for each of the 256 values, `[count, 256, P]`, and those values."""
    values = tf.constant(np.broadcast_to(VALUES, (len(parameters), 256)), tf.int32)
    return tf.repeat(parameters[:, None], 256, axis=1), values


def all_log_probs(kind, parameters):
    """Of each of the 256 values under each row of parameters: `[count, 256]`."""
    return pixels.LIKELIHOODS[kind]().log_prob(*of_all_values(parameters)).numpy()


def told(kind, parameters):
    """What scoring is told of each of the 256 values: `[count, 256]` each."""
    return pixels.LIKELIHOODS[kind]().told(*of_all_values(parameters))


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_mass_is_one(kind):
    log_probs = all_log_probs(kind, random_parameters(kind))
    assert log_probs.dtype == np.float32 and np.all(np.isfinite(log_probs))
    np.testing.assert_allclose(np.exp(np.float64(log_probs)).sum(1), 1.0, rtol=2e-5)


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_scoring_and_training_have_one_log_prob(kind):
    parameters = random_parameters(kind)
    found = told(kind, parameters).log_prob
    np.testing.assert_allclose(found, all_log_probs(kind, parameters), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_below_is_the_mass_of_all_smaller_values(kind):
    parameters = random_parameters(kind)
    below = told(kind, parameters).below.numpy()
    mass = np.exp(np.float64(all_log_probs(kind, parameters)))
    assert below.dtype == np.float32 and np.all(below[:, 0] == 0.0)
    np.testing.assert_allclose(below, np.cumsum(mass, axis=1) - mass, atol=2e-5)


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_mean_is_that_of_all_values(kind):
    """For logistics to half a value, and nearly where they are as wide as one value."""
    parameters = random_parameters(kind)
    mass = np.exp(np.float64(all_log_probs(kind, parameters)))
    difference = np.abs(told(kind, parameters).mean[:, 0] - mass @ VALUES)
    if kind == "logistic":
        wide = parameters[:, 1] > -np.log(127.5)
        assert np.max(difference) < 0.501 and 5 < wide.sum() < 35
        difference = difference[wide]
    assert np.max(difference) < 0.01


def test_mean_of_logistics_beyond_all_bounds():
    """Locations far outside give the ends, and hopelessly wide ones no more than a finite value."""
    parameters = np.array([[-1e4, -9], [1e4, -9], [0, 10], [0.5, 80], [-3, 200]], np.float32)
    mean = told("logistic", parameters).mean[:, 0].numpy()
    np.testing.assert_allclose(mean[:3], [0.0, 255.0, 127.5], atol=0.1)
    assert np.all((mean >= 0) & (mean <= 255))


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_log_prob_is_that_of_the_distribution(kind):
    """Where float32 lets TFP's own formula be exact: bins that hold some mass."""
    parameters = random_parameters(kind)
    distribution = pixels.LIKELIHOODS[kind]().distribution(parameters[:, None])
    expected = distribution.log_prob(tf.constant(VALUES, distribution.dtype)).numpy()
    likely = expected > -10
    ours = all_log_probs(kind, parameters)
    np.testing.assert_allclose(ours[likely], expected[likely], rtol=1e-3, atol=1e-3)


def test_logistic_is_exact_in_float32():
    """Against the same bins in float64, where TFP's formula has the digits it needs."""
    parameters = random_parameters("logistic")
    location = 127.5 * (1 + np.float64(parameters[:, :1]))
    scale = np.maximum(127.5 * np.exp(np.float64(parameters[:, 1:])), np.exp(-3.0))
    logistic = tfd.Logistic(tf.constant(location - 0.5), tf.constant(scale))
    reference = tfd.QuantizedDistribution(logistic, low=np.float64(0), high=np.float64(255))
    expected = reference.log_prob(np.float64(VALUES)).numpy()
    # Far in a tail float64 gives up before we do: 1 - s(a) is 0 there.
    finite = np.isfinite(expected) & (expected > -600)
    assert finite.mean() > 0.5
    ours = all_log_probs("logistic", parameters)
    # A location near 255 is rounded by 1e-5, a few 1e-4 of the narrowest scale.
    np.testing.assert_allclose(ours[finite], expected[finite], rtol=1e-5, atol=5e-4)


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_gradients_are_finite_everywhere(kind):
    parameters = tf.constant(random_parameters(kind)[:, None].repeat(256, 1))
    values = tf.constant(np.broadcast_to(VALUES, (40, 256)), tf.int32)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(pixels.LIKELIHOODS[kind]().log_prob(parameters, values))
    assert np.all(np.isfinite(tape.gradient(total, parameters)))


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_log_prob_and_gradient_of_logistics_are_finite_for_any_parameters(value):
    """On a grid of locations far outside, and of scales from nothing to all there is."""
    locations = np.array([0, *(sign * 10.0**e for sign in (-1, 1) for e in range(-3, 31, 3))])
    log_scales = np.array([-1e30, *range(-100, 101, 5), 12.04, -7.85, 1e30])
    grid = np.stack(np.meshgrid(locations, log_scales), -1).reshape(-1, 2).astype(np.float32)
    parameters, values = tf.constant(grid), tf.fill([len(grid)], value)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_probs = pixels.LogisticPixels().log_prob(parameters, values)
    gradient = tape.gradient(log_probs, parameters)
    assert np.all(np.isfinite(log_probs)) and np.all(log_probs.numpy() <= 0)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0, axis=0).all()


@pytest.mark.parametrize("kind", pixels.LIKELIHOODS)
def test_draws_follow_the_likelihood(kind):
    """At even values of the distribution function each value comes as often as it is likely."""
    count, rng = 20_000, np.random.default_rng(0)
    size = 256 if kind == "categorical" else 2
    for parameters in (np.zeros(size), rng.normal(0, 2, size), -3 * np.eye(size)[-1]):
        parameters = np.float32(parameters)
        uniform = tf.constant((np.arange(count, dtype=np.float32) + 0.5) / count)
        drawn = pixels.LIKELIHOODS[kind]().draw(np.tile(parameters, (count, 1)), uniform).numpy()
        assert np.all(np.diff(drawn) >= 0) and drawn.min() >= 0 and drawn.max() <= 255
        mass = np.exp(all_log_probs(kind, parameters[np.newaxis]))[0]
        shares = np.bincount(drawn, minlength=256) / count
        np.testing.assert_allclose(shares, mass, atol=2 / count + 1e-5)


def test_draws_at_the_ends_are_values():
    for kind, size in (("categorical", 256), ("logistic", 2)):
        ends = tf.constant([0.0, 1 - 2.0**-24])
        drawn = pixels.LIKELIHOODS[kind]().draw(tf.zeros([2, size]), ends)
        assert drawn.numpy().tolist() == [0, 255]


def test_mode_is_the_likeliest_value():
    logits = random_parameters("categorical")
    np.testing.assert_array_equal(pixels.CategoricalPixels().mode(logits), logits.argmax(1))
    logistic = np.array([[-3, -2], [0.1, -2], [3, -2]], np.float32)
    likeliest = all_log_probs("logistic", logistic).argmax(1)
    np.testing.assert_array_equal(pixels.LogisticPixels().mode(logistic), likeliest)
