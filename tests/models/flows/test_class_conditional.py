"""Class-conditional flows: p(x) is the mixture over classes, p(y|x) is Bayes' rule."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tests.models.flows.test_flow import model_noise, random_images
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, GlowConfig
from tfp_ood.data.untuned import untuned
from tfp_ood.training import fused

SHAPE, NUM_CLASSES = (8, 8, 1), 3


def labelled_images(count=96, seed=0):
    """Dark, gray and bright images: classes that a density can tell apart."""
    labels = np.arange(count, dtype=np.int64) % NUM_CLASSES
    images = random_images(count, SHAPE, seed) // 4 + (80 * labels)[:, None, None, None]
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module", name="model")
def _model():
    sizes = GlowConfig(num_levels=1, num_steps=1, num_hidden=6, num_classes=NUM_CLASSES)
    model = models.build(Config(data=DataConfig(image_shape=SHAPE), model=sizes))
    images, labels = labelled_images()
    model.initialize(images)
    model.compile(optimizer=fused.Adam(2e-2, jit_compile=False))
    batches = untuned(tf.data.Dataset.from_tensors({"image": images, "label": labels}).repeat())
    model.fit(batches, epochs=1, steps_per_epoch=60, verbose=0)
    return model


def by_class(model, images, num_draws):
    """log p(x|y), `[N, K]`, from the definition."""
    draws = []
    for draw in range(num_draws):
        pixels = tf.cast(images, tf.float32) + model_noise(images, draw)
        latent, log_det = model._terms(pixels)
        draws.append(np.float64(latent) + np.float64(log_det)[:, None])
    return special.logsumexp(draws, axis=0) - np.log(num_draws)


@pytest.mark.parametrize("num_draws", [1, 3])
def test_log_prob_is_of_the_even_mixture_and_bayes_rule_holds(model, num_draws):
    images, _ = labelled_images(9, seed=3)
    expected = by_class(model, images, num_draws)
    statistics = model.statistics(images, num_draws)
    marginal = special.logsumexp(expected, axis=1) - np.log(NUM_CLASSES)
    np.testing.assert_allclose(statistics["log_prob"], marginal, rtol=1e-5)
    posterior = special.softmax(expected, axis=1)
    np.testing.assert_allclose(statistics["class_probability"], posterior.max(1), atol=1e-3)
    np.testing.assert_array_equal(statistics["predicted_class"], posterior.argmax(1))
    entropy = -np.sum(special.xlogy(posterior, posterior), axis=1)
    np.testing.assert_allclose(statistics["class_entropy"], entropy, atol=5e-3)
    total = statistics["log_prob_latent"] + statistics["log_det"]
    np.testing.assert_allclose(total, statistics["log_prob"], rtol=1e-5)


def test_it_classifies_what_it_was_trained_on(model):
    images, labels = labelled_images(60, seed=7)
    assert np.mean(model.statistics(images)["predicted_class"] == labels) > 0.9


def test_training_needs_labels(model):
    images, _ = labelled_images(4)
    with pytest.raises(ValueError, match="label"):
        model.fit(untuned(tf.data.Dataset.from_tensors({"image": images})), verbose=0)
