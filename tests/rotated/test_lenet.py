"""LeNet in its kinds: probabilities, draws, and losses that hold the KL per image."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.keras import keras
from tfp_ood.rotated.config import LeNetConfig
from tfp_ood.rotated.lenet import BAYESIAN, KINDS, LeNet
from tfp_ood.rotated.multiplicative import MultiplicativeKernel

SHAPE = (16, 16, 1)
TINY = LeNetConfig(num_filters=(2, 3), num_hidden=4, flow_hidden=3)
NUM_EXAMPLES = 50


@pytest.fixture(scope="module", name="models")
def _models():
    keras.utils.set_random_seed(0)
    return {kind: LeNet(kind, TINY, SHAPE, NUM_EXAMPLES) for kind in KINDS}


@pytest.fixture(scope="module", name="images")
def _images():
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_probabilities_and_differ_where_weights_do(kind, models, images):
    model = models[kind]
    first, second = (model.draw(images).numpy() for _ in range(2))
    assert first.shape == (5, 10) and np.all(first >= 0)
    np.testing.assert_allclose(first.sum(axis=1), 1.0, rtol=1e-5)
    assert np.allclose(first, second) == (not model.is_stochastic)
    assert model.num_parameters() > 0


@pytest.mark.parametrize("kind", BAYESIAN)
def test_the_kl_has_a_weight(kind, models, images):
    losses, model = [], models[kind]
    for weight in (1.0, 0.25):
        model.kl_weight.assign(weight)
        tf.random.set_seed(2)
        model(images, training=True)
        losses.append(float(tf.add_n(model.losses)))
    model.kl_weight.assign(1.0)
    assert losses[0] > 1 and np.isfinite(losses[0])
    np.testing.assert_allclose(losses[1], losses[0] / 4, rtol=1e-4)


def test_the_kl_of_flows_is_per_training_image(models, images, monkeypatch):
    monkeypatch.setattr(MultiplicativeKernel, "divergence", lambda self: tf.constant(5.0))
    models["mnf"](images, training=True)
    np.testing.assert_allclose(models["mnf"].losses, [5.0 / NUM_EXAMPLES] * 4, rtol=1e-6)


def test_flipout_kl_is_that_of_gaussians(models, images):
    model = models["flipout"]
    model(images, training=True)
    total = 0.0
    for layer in model.layers:
        if hasattr(layer, "kernel_posterior"):
            q = layer.kernel_posterior.distribution
            total += tf.reduce_sum(
                tfp.distributions.kl_divergence(q, layer.kernel_prior.distribution)
            )
            assert np.all(layer.kernel_prior.stddev() == TINY.prior_scale)
    np.testing.assert_allclose(tf.add_n(model.losses), total / NUM_EXAMPLES, rtol=1e-5)


def test_weight_decay_is_on_kernels_only(models, images):
    model = models["softmax"]
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    expected = TINY.weight_decay * sum(tf.reduce_sum(k**2) for k in kernels)
    assert len(kernels) == 4
    np.testing.assert_allclose(tf.add_n(model.losses), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "softmax"])
def test_draws_differ_and_start_again_with_the_seed(kind):
    """So that a table does not depend on which tables were made before it."""
    model = LeNet(kind, TINY, SHAPE, NUM_EXAMPLES)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), np.uint8)
    rounds = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        rounds.append([model.draw(pixels).numpy() for _ in range(3)])
        model.draw(pixels[:1])
    np.testing.assert_array_equal(rounds[0], rounds[1])
    assert np.any(rounds[0][0] != rounds[0][1]) and np.any(rounds[0][1] != rounds[0][2])
    np.testing.assert_allclose(np.sum(rounds, axis=-1), 1.0, rtol=1e-5)
