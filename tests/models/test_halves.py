"""Halves of a batch: the same result as the whole, for any number of images."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.flows.test_flow import random_images, small_model
from tfp_ood import units
from tfp_ood.models.halves import in_halves, sums_in_halves


@pytest.fixture(scope="module", name="model")
def _model():
    model = small_model(num_levels=2)
    model.initialize(random_images())
    return model


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_image_once_in_order(count):
    batch = {"image": tf.range(count), "label": tf.range(count) * 2}
    result = in_halves(lambda part, _: {"sum": part["image"] + part["label"]}, batch)
    np.testing.assert_array_equal(result["sum"], 3 * np.arange(count))


def test_parts_are_numbered_so_that_their_noise_differs():
    batch = {"image": tf.zeros([4], tf.int32)}
    result = in_halves(lambda part, number: {"number": part["image"] + number}, batch)
    np.testing.assert_array_equal(result["number"], [0, 0, 1, 1])


@pytest.mark.parametrize("count", [1, 5])
def test_gradients_count_every_image_once(count):
    """The image that both halves hold when the number is odd is in the sum only once."""
    x = tf.Variable(tf.random.stateless_normal([count], [0, 1]))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(in_halves(lambda part, _: {"y": part["x"] ** 2}, {"x": x})["y"])
    np.testing.assert_allclose(tape.gradient(y, x), 2 * x, rtol=1e-6)


def test_gradients_of_a_model_are_those_of_the_whole_batch(model):
    images = tf.constant(random_images(5))

    def gradients(run):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(run(lambda part, _: model._scores(part["image"], 1)))
        return tape.gradient(loss, model.trainable_variables)

    halves = gradients(lambda f: in_halves(f, {"image": images})["log_prob"])
    whole = gradients(lambda f: f({"image": images}, 0)["log_prob"])
    for ours, expected in zip(halves, whole, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_sums_count_every_image_once(count):
    def sums(part, number, skipped, factor):
        values = tf.cast(part["image"][skipped:], tf.float32)
        return [tf.reduce_sum(values), None, tf.reduce_sum(tf.ones_like(values)) * factor]

    total, nothing, twice = sums_in_halves(
        sums, {"image": tf.range(1, count + 1)}, tf.constant(2.0)
    )
    assert total == count * (count + 1) / 2 and nothing is None and twice == 2 * count


@pytest.mark.parametrize("count", [1, 5, 6])
def test_a_step_s_gradients_are_those_of_the_mean_over_the_batch(model, count, monkeypatch):
    """Each half's backward pass is in its own function; together they are that of the whole."""
    images = tf.constant(random_images(count))
    # So that both halves of a batch and the whole of it see the same.
    monkeypatch.setattr(
        model, "_training_log_prob", lambda images, *_: model._scores(images, 1)["log_prob"]
    )
    step = tf.function(lambda: model._bits_and_gradients({"image": images}, tf.constant([0, 0])))
    bits, gradients = step()
    with tf.GradientTape() as tape:
        whole = model._scores(images, 1)["log_prob"]
        expected = tf.reduce_mean(units.bits_per_dim(whole, model.num_dims))
    assert float(bits) == pytest.approx(float(expected), rel=1e-5)
    of_whole = tape.gradient(expected, model.trainable_variables)
    for ours, other in zip(gradients, of_whole, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-3, atol=1e-5)
