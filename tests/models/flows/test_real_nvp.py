"""RealNVP: its masks, its batch normalization, one evaluation of each network, a good start."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.models.flows.test_bijectors import autodiff_log_det, images, jacobians, train_one_step
from tests.models.flows.test_flow import random_images
from tests.models.flows.test_glow import num_networks_run, parts
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, RealNVPConfig
from tfp_ood.models import dequantize
from tfp_ood.models.flows import batch_norm, bijectors, real_nvp, walks
from tfp_ood.models.flows.couplings import AffineCoupling

SHAPE = (8, 8, 1)
SIZES = RealNVPConfig(num_levels=2, num_couplings=2, num_blocks=1, num_hidden=6)
NORMALIZATIONS = ("actnorm", "batch_norm")

# The first level has 2 couplings of each kind, the last 3 of the checkerboard; each network is an
# input convolution, a residual block of two and an output convolution.
NUM_CONVOLUTIONS = (2 + 2 + 3) * 4


def sizes(normalization="actnorm"):
    return dataclasses.replace(SIZES, normalization=normalization)


def small_model(normalization="actnorm"):
    return models.build(Config(data=DataConfig(image_shape=SHAPE), model=sizes(normalization)))


def float64_flow(shape, **changes):
    """A flow with weights that are not zero, and images."""
    model = dataclasses.replace(SIZES, num_hidden=4, **changes)
    flow = real_nvp.real_nvp_bijector(model, shape, 0, "float64", tf.float64)
    walks.initialize(flow, images(shape, count=32, seed=1))
    train_one_step(flow, images(shape))
    return flow, images(shape)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("levels", [1, 2])
def test_flow_is_invertible_and_its_log_det_that_of_the_jacobian(levels, normalization):
    flow, x = float64_flow((4, 4, 2), num_levels=levels, normalization=normalization)
    y = flow.forward(x)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-9)
    log_det = flow.forward_log_det_jacobian(tf.identity(x), event_ndims=3)
    np.testing.assert_allclose(log_det, autodiff_log_det(flow, tf.identity(x)), atol=1e-9)
    inverse = flow.inverse_log_det_jacobian(tf.identity(y), event_ndims=1)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-9)


def changed_and_inputs(transform, shape):
    """Which outputs differ from their input, and which inputs other outputs depend on."""
    jacobian = jacobians(transform, images(shape, count=1))[0]
    changed = np.any(jacobian != np.eye(len(jacobian)), axis=1)
    inputs = np.any((jacobian != 0) & ~np.eye(len(jacobian), dtype=bool), axis=0)
    return changed.reshape(shape), inputs.reshape(shape)


def test_masks_keep_one_half_and_read_nothing_else():
    """Of every coupling the changed dimensions depend on themselves and on kept ones only."""
    flow, _ = float64_flow((8, 8, 1), num_couplings=3)
    couplings = parts(flow, AffineCoupling)
    assert len(couplings) == 3 + 3 + 4
    previous = None
    for number, coupling in enumerate(couplings):
        shape = (4, 4, 4) if number < 6 else (2, 2, 8)
        changed, inputs = changed_and_inputs(coupling.forward, shape)
        assert changed.sum() == changed.size // 2
        assert np.any(inputs) and not np.any(inputs & changed)
        if number not in (0, 3, 6):
            np.testing.assert_array_equal(changed, ~previous)
        previous = changed


def test_checkerboard_masks_are_the_papers():
    """Seen in the image, a coupling between `Checkerboard`s keeps the fields of one colour."""
    flow, _ = float64_flow((6, 6, 1), num_levels=1)
    colour = np.indices((6, 6)).sum(0)[..., None] % 2
    squeeze, board = bijectors.Squeeze(tf.float64), bijectors.Checkerboard(tf.float64)
    for number, coupling in enumerate(parts(flow, AffineCoupling)):

        def transform(x, coupling=coupling):
            return squeeze.inverse(
                board.inverse(coupling.forward(board.forward(squeeze.forward(x))))
            )

        changed, inputs = changed_and_inputs(transform, (6, 6, 1))
        np.testing.assert_array_equal(changed, colour == (number + 1) % 2)
        np.testing.assert_array_equal(inputs, ~changed)


@pytest.mark.parametrize("levels", [1, 2])
def test_every_dimension_is_changed_by_some_coupling(levels):
    """In the whole flow every latent depends on more than one pixel, and every pixel is read."""
    flow, x = float64_flow((8, 8, 1), num_levels=levels)
    jacobian = jacobians(flow.forward, x)
    assert np.all((jacobian != 0).sum(2) > 1) and np.all((jacobian != 0).sum(1) > 1)


SPEC = tf.TensorSpec([None, *SHAPE], tf.uint8)


@pytest.mark.parametrize(
    "normalization", ["actnorm", pytest.param("batch_norm", marks=pytest.mark.slow)]
)
def test_scoring_and_sampling_run_each_network_once(normalization):
    model = small_model(normalization)
    scores = tf.function(model._scores).get_concrete_function(SPEC, 1)
    assert num_networks_run(scores) == NUM_CONVOLUTIONS
    log_prob = tf.function(model.distribution.log_prob)
    traced = log_prob.get_concrete_function(tf.TensorSpec([None, *SHAPE]))
    assert num_networks_run(traced) == NUM_CONVOLUTIONS
    sampling = model._compiled_samples(False).get_concrete_function()
    assert num_networks_run(sampling) == NUM_CONVOLUTIONS


def test_training_runs_each_network_once_and_learns_each_batch_once():
    model = small_model("batch_norm")
    step = tf.function(lambda images: model._training_log_prob(images, None, tf.constant([0, 0])))
    traced = step.get_concrete_function(SPEC)
    assert num_networks_run(traced) == NUM_CONVOLUTIONS
    updates = [op for op in traced.graph.get_operations() if op.type == "AssignAddVariableOp"]
    assert len(updates) == 2 * len(parts(to_latent(model), batch_norm.BatchNorm))


def to_latent(model):
    return model.distribution.bijector.bijector


def moving_averages(model):
    found = parts(to_latent(model), batch_norm.BatchNorm)
    return [v.numpy() for part in found for v in (part.mean, part.variance)]


def test_batch_norm_learns_in_training_only():
    model, data = small_model("batch_norm"), random_images(16)
    model.initialize(data)
    before, scores = moving_averages(model), model.log_prob(data)
    model.test_step({"image": tf.constant(data[:8])})
    model.sample(2)
    np.testing.assert_array_equal(model.log_prob(data), scores)
    for old, new in zip(before, moving_averages(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model._training_log_prob(255 - data // 2, None, tf.constant([0, 1]))
    # Of the first; fresh couplings are the identity, so that it leaves nothing to the others.
    for old, new in zip(before[:2], moving_averages(model)[:2], strict=True):
        assert np.any(old != new)


def test_training_and_scoring_are_one_density_where_the_moments_agree():
    """On the images of `initialize`, with the noise that it adds, both modes give the same."""
    model, data = small_model("batch_norm"), random_images(64)
    model.initialize(data)
    seed = tf.constant([model.seed, 0])
    trained = model._training_log_prob(tf.constant(data), None, seed)
    pixels = tf.cast(data, tf.float32) + dequantize.training_noise(tf.shape(data), seed)
    np.testing.assert_allclose(trained, sum(model._terms(pixels)), rtol=1e-4)


def test_weights_differ_between_seeds_couplings_and_levels():
    kernels = []
    for seed in (0, 1):
        flow = real_nvp.real_nvp_bijector(SIZES, SHAPE, seed)
        flow.forward(tf.zeros([1, *SHAPE]))
        found = parts(flow, AffineCoupling)
        for layers in (coupling.network for coupling in found):
            kernels += [layers.first.kernel.numpy(), layers.blocks[0][0].kernel.numpy()]
    assert len({kernel.tobytes() for kernel in kernels}) == 2 * 7 * 2
