"""A flow as a model of discrete images: a density that is one, whatever the batch."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.config import GlowConfig
from tfp_ood.data.untuned import untuned
from tfp_ood.models import dequantize
from tfp_ood.models.flows import bijectors, couplings, glow, mixing, networks
from tfp_ood.models.flows.flow import FlowModel
from tfp_ood.training import fused

tfb, tfd = tfp.bijectors, tfp.distributions

SHAPE = (8, 8, 1)


def random_images(count=16, shape=SHAPE, seed=0):
    """Smooth gray images, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(40, 200, (count, 1, 1, shape[2]))
    return np.clip(base + rng.normal(0, 10, (count, *shape)), 0, 255).astype(np.uint8)


def small_model(num_levels=1):
    """A Glow, of one level for those who only need a model."""
    sizes = GlowConfig(num_levels=num_levels, num_steps=1, num_hidden=6)
    return FlowModel(glow.glow_bijector(sizes, SHAPE), SHAPE)


@pytest.fixture(scope="module", name="model")
def _model():
    model = small_model(num_levels=2)
    images = random_images(64)
    model.initialize(images)
    model.compile(optimizer=fused.Adam(1e-2, jit_compile=False))
    batches = untuned(tf.data.Dataset.from_tensors({"image": images}).repeat())
    model.fit(batches, epochs=1, steps_per_epoch=30, verbose=0)
    return model


class UniformLatent(FlowModel):
    """The identity flow with a uniform latent: a uniform density over dequantized images."""

    def __init__(self, shape):
        super().__init__(bijectors.flatten_image(shape), shape)
        self.distribution = tfd.TransformedDistribution(
            tfd.Sample(tfd.Uniform(-0.5, 0.5), [self.num_dims]), self.distribution.bijector
        )


def test_uniform_density_is_8_bits_per_dim():
    model = UniformLatent((4, 3, 3))
    images = random_images(5, (4, 3, 3))
    model.initialize(images)
    for num_draws in (1, 4):
        bits = units.bits_per_dim(model.log_prob(images, num_draws), 36)
        np.testing.assert_allclose(bits, 8.0, rtol=1e-6)


@pytest.mark.slow  # the contract has it of trained flows
def test_total_mass_of_a_discretized_flow_is_one():
    """Two channels of one pixel: all 65,536 images, each integrated by 16 draws."""
    network = networks.CouplingNetwork(8, 2, seed=3)
    flow = tfb.Chain(
        [
            bijectors.flatten_image((1, 1, 2)),
            couplings.AffineCoupling(network),
            mixing.NormalizedConv1x1(bijectors.ActNorm(2), mixing.InvertibleConv1x1(2, 5)),
        ]
    )
    model = FlowModel(flow, (1, 1, 2))
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal([100, 150], [20, 8], (2000, 1, 1, 2)), 0, 255).astype(np.uint8)
    model.initialize(images)
    # Nonlinear, so that the Jacobian matters.
    network.last.kernel.assign(rng.normal(0, 0.3, network.last.kernel.shape))
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 1, 1, 2)
    mass = np.sum(np.exp(np.float64(model.log_prob(grid.astype(np.uint8), num_draws=16))))
    assert mass == pytest.approx(1.0, abs=0.005)


def test_log_prob_is_that_of_the_transformed_distribution(model):
    """The terms come from the bijector; TFP's own log_prob of the same pixels must agree."""
    pixels = tf.cast(random_images(4), tf.float32) + 0.3
    expected = model.distribution.log_prob(pixels)
    np.testing.assert_allclose(sum(model._terms(pixels)), expected, rtol=1e-5)


def test_draws_are_averaged_in_log_space(model):
    images = random_images(8)
    draws = []
    for draw in range(4):
        noise = model_noise(images, draw)
        draws.append(sum(model._terms(tf.cast(images, tf.float32) + noise)))
    expected = np.log(np.mean(np.exp(np.float64(draws) - np.max(draws, 0)), 0)) + np.max(draws, 0)
    np.testing.assert_allclose(model.log_prob(images, 4), expected, rtol=1e-5)


def model_noise(images, draw):
    return dequantize.content_noise(tf.constant(images), tf.constant(draw), 0)


def test_averaging_draws_tightens_the_bound(model):
    """Jensen: the log of the mean is above the mean of the logs of the same draws."""
    images = random_images(8)
    pixels = tf.cast(images, tf.float32)
    singles = [sum(model._terms(pixels + model_noise(images, draw))) for draw in range(4)]
    assert np.mean(model.log_prob(images, 4)) > np.mean(singles)


def test_samples_follow_the_density(model):
    """Their mean likelihood is the model's own entropy, estimated from the latent side."""
    samples = model.sample(512, seed=0).numpy()
    data = random_images(512, seed=5)
    assert np.mean(model.log_prob(samples)) == pytest.approx(np.mean(model.log_prob(data)), rel=0.1)


def test_temperature_zero_gives_one_image(model):
    images = model.sample(3, temperature=0.0).numpy()
    np.testing.assert_array_equal(images, np.broadcast_to(images[:1], images.shape))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros([2, *SHAPE], np.float32),
        np.zeros([2, 8, 8, 3], np.uint8),
        np.zeros(SHAPE, np.uint8),
        np.zeros([0, *SHAPE], np.uint8),
    ],
    ids=["float", "channels", "rank", "empty"],
)
def test_images_of_another_kind_are_refused(model, images):
    with pytest.raises(ValueError, match="valid is uint8"):
        model.log_prob(images)
