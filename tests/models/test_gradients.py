"""The gradients of each image, against the Jacobian, for every family and option."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.contracts import CASES
from tfp_ood.models import gradients

ALL_CASES = pytest.mark.parametrize("name", CASES)


@ALL_CASES
def test_each_image_has_the_gradients_of_its_row_of_the_jacobian(name):
    model = contracts.shared(name)
    images = tf.constant(contracts.random_images(CASES[name], 2))
    variables = model.trainable_variables

    @tf.function(input_signature=[tf.TensorSpec([None, *images.shape[1:]], tf.uint8)])
    def ours(images):
        pixels, log_prob = model._differentiable(images)
        return gradients.per_image(log_prob, images, variables, [pixels])

    by_variable, (by_pixel,) = ours(images)
    # The Jacobian row by row, which takes less time to trace.
    rows = []
    for image in range(2):
        with tf.GradientTape() as tape:
            log_prob = model._differentiable(images)[1]
            own = log_prob[image]
        rows.append(tape.gradient(own, variables))
    np.testing.assert_allclose(log_prob, model.log_prob(images), rtol=1e-5)
    for variable, found, *true in zip(variables, by_variable, *rows, strict=True):
        true = np.stack(true)
        assert found.shape == true.shape and found.dtype == tf.float32
        slack = 1e-4 * np.max(np.abs(true))
        np.testing.assert_allclose(found, true, 1e-3, slack, err_msg=variable.name)
    assert by_pixel.shape == images.shape and np.all(np.isfinite(by_pixel)) and np.any(by_pixel)


@ALL_CASES
def test_names_are_those_of_every_model_of_the_config(name):
    """Whatever was made before in this process, trained or not."""
    trained, fresh = contracts.shared(name), contracts.build(CASES[name])
    found = gradients.names(trained)
    assert found == gradients.names(fresh) and len(set(found)) == len(found)
    for one, variable in zip(found, trained.trainable_variables, strict=True):
        own = variable.name.split("/")[-1].split(":")[0]
        assert re.fullmatch(rf"\d{{3}}_([a-z_]+/)*{own}", one) or "mixture" in own, one
