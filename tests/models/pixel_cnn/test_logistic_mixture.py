"""The mixture of logistics against TFP's own parts, in value and in gradient."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.models.pixel_cnn import logistic_mixture
from tfp_ood.models.pixel_cnn.logistic_mixture import LogisticMixture

tfd = tfp.distributions

NUM_MIXTURES = 5


def random_parameters(num_channels, batch, seed=0, scale=1.0):
    size = logistic_mixture.num_parameters(NUM_MIXTURES, num_channels)
    noise = np.random.default_rng(seed).normal(0, scale, (batch, size))
    return tf.constant(noise, tf.float32) + logistic_mixture.spread_locations(
        NUM_MIXTURES, num_channels
    )


def reference(mixture, pixels):
    """The same distribution of TFP's parts, its locations for given pixels `[B, C]`."""
    scaled = pixels / 127.5 - 1.0
    locations = tf.linalg.matrix_transpose(mixture.component_locations(scaled))
    scales = tf.exp(tf.linalg.matrix_transpose(mixture.log_scales))
    logistic = tfd.TransformedDistribution(
        tfd.Logistic(127.5 * (locations + 1.0), 127.5 * scales), tfp.bijectors.Shift(-0.5)
    )
    quantized = tfd.QuantizedDistribution(logistic, low=0.0, high=255.0)
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=mixture.logits), tfd.Independent(quantized, 1)
    )


@pytest.mark.parametrize("num_channels", [1, 3])
def test_log_prob_is_that_of_tfps_parts(num_channels):
    mixture = LogisticMixture(random_parameters(num_channels, 256), num_channels)
    pixels = np.random.default_rng(1).integers(0, 256, (256, num_channels)).astype(np.float32)
    pixels[:4], pixels[4:8] = 0.0, 255.0
    expected = reference(mixture, tf.constant(pixels)).log_prob(pixels)
    np.testing.assert_allclose(mixture.log_prob(pixels), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_log_prob_is_that_of_tfds_pixel_cnn(num_channels):
    """Of the outputs of its network, for random, black and white images."""
    shape, num_mixtures = (4, 4, num_channels), 3
    stock = tfd.PixelCNN(
        shape,
        num_resnet=1,
        num_hierarchies=1,
        num_filters=8,
        num_logistic_mix=num_mixtures,
        dropout_p=0.0,
        use_weight_norm=False,
    )
    pixels = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.float32)
    pixels[0], pixels[1] = 0.0, 255.0
    logits, locations, scales, *coefficients = stock.network(pixels / 127.5 - 1.0, training=False)
    # Ours are through a tanh, which keeps them from -1 to 1; theirs are not.
    small = [0.5 * tf.tanh(c) for c in coefficients]
    stock.network = lambda *_, **__: (logits, locations, scales, *small)
    by_channel = [locations, tf.math.log(scales), *(tf.atanh(c) for c in small)]
    flat = [
        tf.reshape(tf.linalg.matrix_transpose(part), [5, 4, 4, part.shape[-2] * part.shape[-1]])
        for part in by_channel
    ]
    ours = LogisticMixture(tf.concat([logits, *flat], -1), num_channels).log_prob(pixels)
    expected = stock.log_prob(pixels)
    np.testing.assert_allclose(tf.reduce_sum(ours, [1, 2]), expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 10.0, 1000.0])
def test_all_256_values_have_mass_one(scale):
    """Also of logistics that are all in one bin, or much wider than the range."""
    parameters = random_parameters(1, 8, scale=scale)
    values = np.arange(256, dtype=np.float32)[:, np.newaxis, np.newaxis]
    mass = np.exp(LogisticMixture(parameters, 1).log_prob(np.broadcast_to(values, [256, 8, 1])))
    np.testing.assert_allclose(np.sum(np.float64(mass), 0), 1.0, atol=2e-4)


def test_colours_have_mass_one():
    """Sums over all values of one channel after the other."""
    mixture = LogisticMixture(random_parameters(3, 1), 3)
    values = np.arange(256, dtype=np.float32)
    blue = np.stack(np.meshgrid([90.0], [200.0], values, indexing="ij"), -1).reshape(-1, 3)
    joint = tf.reduce_logsumexp(mixture.log_prob(blue))
    # Red and green have the same mixture without blue's factor.
    pair = reference(mixture, tf.constant([[90.0, 200.0, 0.0]]))
    red_green = tf.reduce_sum(pair.components_distribution.distribution.log_prob(
        tf.constant([[[90.0, 200.0, 0.0]]]))[..., :2], -1)  # fmt: skip
    expected = tf.reduce_logsumexp(red_green + tf.nn.log_softmax(mixture.logits), -1)
    np.testing.assert_allclose(joint, expected[0], rtol=1e-4)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("scale", [1.0, 10.0, 1000.0])
def test_channels_add_up_to_log_prob(num_channels, scale):
    mixture = LogisticMixture(random_parameters(num_channels, 256, scale=scale), num_channels)
    pixels = np.random.default_rng(1).integers(0, 256, (256, num_channels)).astype(np.float32)
    pixels[:4], pixels[4:8] = 0.0, 255.0
    log_probs, below = mixture.conditionals(pixels)
    assert log_probs.shape == below.shape == pixels.shape
    np.testing.assert_allclose(
        np.sum(log_probs, axis=-1), mixture.log_prob(pixels), rtol=1e-5, atol=1e-4
    )
    assert np.all((below.numpy() >= 0) & (below.numpy() < 1 + 1e-6))


@pytest.mark.parametrize("scale", [1.0, 10.0, 1000.0])
@pytest.mark.parametrize(("num_channels", "channel"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_every_channel_has_a_distribution_given_those_before_it(num_channels, channel, scale):
    """Over its 256 values: mass one, and the mass of smaller values is that of their sum."""
    mixture = LogisticMixture(random_parameters(num_channels, 8, scale=scale), num_channels)
    pixels = np.full([256, 8, num_channels], 90.0, np.float32)
    pixels[..., channel] = np.arange(256)[:, np.newaxis]
    log_probs, below = (found.numpy()[..., channel] for found in mixture.conditionals(pixels))
    mass = np.exp(np.float64(log_probs))
    np.testing.assert_allclose(np.sum(mass, 0), 1.0, atol=2e-4)
    np.testing.assert_allclose(below, np.cumsum(mass, 0) - mass, atol=2e-4)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("value", [0.0, 1.0, 128.0, 254.0, 255.0])
def test_gradients_are_finite_however_wild_the_parameters(num_channels, value):
    parameters = random_parameters(num_channels, 64, scale=300.0)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = LogisticMixture(parameters, num_channels).log_prob([[value] * num_channels])
    assert np.all(np.isfinite(log_prob))
    assert np.all(np.isfinite(tape.gradient(log_prob, parameters)))


@pytest.mark.parametrize("value", [0.0, 1.0, 128.0, 254.0, 255.0])
def test_gradients_are_finite_on_a_grid(value):
    """Of two logistics, one usual and one as far outside, or as narrow or wide, as can be."""
    locations = np.array([0, *(sign * 10.0**e for sign in (-1, 1) for e in range(-3, 31, 3))])
    log_scales = np.array([-1e30, *range(-100, 101, 5), 1e30])
    logits = np.array([-100.0, 0.0, 100.0])
    grid = np.stack(np.meshgrid(locations, log_scales, logits), -1).reshape(-1, 3)
    usual = np.zeros(len(grid))
    parts = (usual, grid[:, 2], usual, grid[:, 0], usual, grid[:, 1])
    parameters = tf.constant(np.stack(parts, -1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_probs = LogisticMixture(parameters, 1).log_prob(tf.fill([len(grid), 1], value))
    assert np.all(np.isfinite(log_probs))
    assert np.all(np.isfinite(tape.gradient(log_probs, parameters)))


def test_gradient_is_that_of_tfps_parts():
    parameters = random_parameters(3, 32)
    pixels = tf.constant(np.random.default_rng(1).integers(0, 256, (32, 3)), tf.float32)
    gradients = []
    for log_prob in (
        lambda mixture: mixture.log_prob(pixels),
        lambda mixture: reference(mixture, pixels).log_prob(pixels),
    ):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            total = tf.reduce_sum(log_prob(LogisticMixture(parameters, 3)))
        gradients.append(tape.gradient(total, parameters))
    np.testing.assert_allclose(*gradients, rtol=0.02, atol=0.02)


def test_shapes_are_those_of_a_tfp_distribution():
    mixture = LogisticMixture(tf.zeros([2, 4, logistic_mixture.num_parameters(7, 3)]), 3)
    assert mixture.batch_shape == [2, 4] and mixture.event_shape == [3]
    assert mixture.sample(6, seed=0).shape == [6, 2, 4, 3]
    assert mixture.log_prob(mixture.sample(6, seed=0)).shape == [6, 2, 4]


@pytest.mark.parametrize("num_channels", [1, 3])
def test_draws_follow_the_density(num_channels):
    """Their mean log_prob is that of TFP's own draws; for one channel, so is each value's share."""
    mixture = LogisticMixture(random_parameters(num_channels, 1, scale=0.3), num_channels)
    draws = mixture.sample(20_000, seed=3)
    assert np.all(draws == np.round(draws)) and np.min(draws) >= 0 and np.max(draws) <= 255
    if num_channels == 1:
        theirs = reference(mixture, tf.zeros([1, 1])).sample(20_000, seed=4)
        difference = np.mean(mixture.log_prob(draws)) - np.mean(mixture.log_prob(theirs))
        assert abs(difference) < 0.05
        values = np.arange(256, dtype=np.float32)[:, np.newaxis, np.newaxis]
        shares = np.bincount(draws.numpy().astype(int).ravel(), minlength=256) / 20_000
        mass = np.exp(mixture.log_prob(values))[:, 0]
        assert np.max(np.abs(shares - mass)) < 5 * np.sqrt(np.max(mass) / 20_000)
    else:
        # The chain rule: importance weights of uniform draws average to one, so do these.
        entropy = -np.mean(mixture.log_prob(draws))
        uniform = np.random.default_rng(0).integers(0, 256, (200_000, 1, 3)).astype(np.float32)
        log_prob = np.float64(mixture.log_prob(uniform))
        weights = np.exp(log_prob + 3 * np.log(256))
        assert np.mean(weights) == pytest.approx(1.0, abs=0.1)
        assert -np.mean(weights * log_prob) == pytest.approx(entropy, rel=0.1)


def test_temperature_zero_leaves_the_locations():
    mixture = LogisticMixture(random_parameters(1, 3), 1)
    for uniform in (0.0, 0.5, 0.999):
        noise = tf.constant([[0.3, uniform]] * 3)
        np.testing.assert_array_equal(mixture.draw(noise, 0.0), mixture.draw(noise * 0 + 0.3, 0.0))


def test_the_last_logistic_takes_what_rounding_leaves():
    logits = tf.zeros([4, 256])
    uniform = tf.constant([0.0, 0.5, 1 - 2.0**-24, 1 / 256])
    np.testing.assert_array_equal(logistic_mixture.choose(logits, uniform), [0, 128, 255, 1])
