"""The published form of gated PixelCNN sees of a pixel the colours before, and nothing after."""

import numpy as np
import tensorflow as tf

from tests import contracts
from tests.benchmarks import forms

CASE = contracts.Case(
    "pixel_cnn", {"output": "categorical", "num_layers": 2, "num_filters": 18}, (3, 4, 3)
)


def test_each_value_depends_on_those_before_it_alone():
    with forms.form("pixel_cnn_masked"):
        model = contracts.build(CASE)
    images = tf.constant(contracts.random_images(CASE, 2))
    model.initialize(images)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    told = model._normal_scores(images)[0].numpy()

    def moved(place):
        """Which log-likelihoods change with a value, in raster order, a colour after the other."""
        changed = images.numpy()
        changed[(slice(None), *place)] ^= 128
        change = np.abs(model._normal_scores(tf.constant(changed))[0].numpy() - told)
        return np.any(change > 1e-5, axis=0).ravel()

    for number, place in enumerate(np.ndindex(*CASE.image_shape)):
        found = moved(place)
        assert not found[:number].any()
        # Its own, and all later ones of its pixel.
        assert found[number : number - number % 3 + 3].all()
    assert moved((0, 0, 0)).reshape(CASE.image_shape)[:2, :2].all()
