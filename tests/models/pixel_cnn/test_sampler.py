"""The incremental sampler against whole-image passes of the network, one for each pixel."""

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.models.pixel_cnn.test_pixel_cnn import GATED, PLUS_PLUS, case, wild
from tfp_ood.models.pixel_cnn import sampler
from tfp_ood.models.pixel_cnn.layers import WholeImage, network_inputs

CASES = {
    "plus_plus": case(PLUS_PLUS, (5, 3, 1)),
    "plus_plus_color_2_resolutions": case(PLUS_PLUS, (4, 6, 3), num_hierarchies=2, num_layers=2),
    "plus_plus_3_resolutions": case(PLUS_PLUS, (8, 4, 1), num_hierarchies=3),
    "gated": case(GATED, (5, 4, 1)),
    "gated_color": case(GATED, (4, 5, 3)),
}
LARGE = ("plus_plus_color_2_resolutions", "plus_plus_3_resolutions")


def slow_sample(model, noise, temperature):
    """The network on the whole image, for every pixel anew."""
    height, width, channels = model.image_shape
    images = np.zeros([noise.shape[2], height, width, channels], np.uint8)
    for row, column in np.ndindex(height, width):
        drawn = tf.zeros([len(images), 0], tf.int32)
        while drawn.shape[-1] < channels:
            run = WholeImage(network_inputs(images))
            features = model._features(run)[:, row, column]
            drawn = model.head.draw(run, features, drawn, noise[row, column], temperature)
            images[:, row, column, : drawn.shape[-1]] = drawn
    return images


def make(name):
    model = wild(contracts.initialized(CASES[name]))
    noise = sampler.draw_noise(3, model.image_shape, model.head, tf.constant([7, 0]))
    return model, noise


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        *((name, 1.0) for name in CASES if name not in LARGE),
        *(pytest.param(name, 1.0, marks=pytest.mark.slow) for name in LARGE),
        ("plus_plus", 0.5),
        ("plus_plus", 0.0),
        ("gated", 0.0),
    ],
)
def test_incremental_sampler_draws_the_same_images(name, temperature):
    model, noise = make(name)
    temperature = tf.constant(temperature)
    channels = model.image_shape[2]
    fast = sampler.sample(model.network, model.head, noise, temperature, channels)
    assert fast.dtype == tf.uint8
    np.testing.assert_array_equal(fast, slow_sample(model, noise, temperature))


@pytest.mark.slow
def test_compiled_sample_is_of_the_noise_of_its_seed():
    model, noise = make("plus_plus_color_2_resolutions")
    expected = slow_sample(model, noise, tf.constant(1.0))
    np.testing.assert_array_equal(model.sample(3, seed=7), expected)


def test_images_of_a_sample_are_independent_of_their_number():
    """Each has its own noise, of the shape of the sample; none sees another."""
    model, noise = make("gated")
    one = sampler.sample(model.network, model.head, noise[:, :, 1:2], tf.constant(1.0), 1)
    all_ = sampler.sample(model.network, model.head, noise, tf.constant(1.0), 1)
    np.testing.assert_array_equal(one, all_[1:2])
