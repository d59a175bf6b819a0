"""What makes this Glow fast and right: one evaluation of each network, any batch size, a good
start."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.flows.test_flow import random_images
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, GlowConfig
from tfp_ood.models import chunks
from tfp_ood.models.flows import glow, networks
from tfp_ood.models.flows.couplings import AffineCoupling

LEVELS, STEPS = 2, 2


def config(shape=(16, 16, 3), **model):
    sizes = {"num_levels": LEVELS, "num_steps": STEPS, "num_hidden": 8, **model}
    return Config(
        data=DataConfig(image_shape=shape),
        model=GlowConfig(**sizes),
    )


@pytest.fixture(scope="module", name="model")
def _model():
    model = models.build(config())
    model.initialize(random_images(64, (16, 16, 3)))
    return model


def num_networks_run(function):
    """Convolutions of a traced graph and of the functions it calls, each counted once."""
    definition = function.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return sum(node.op == "Conv2D" for node in nodes)


# Per step a network of two 3x3 convolutions; per level but the last a prior of one.
NUM_CONVOLUTIONS = LEVELS * STEPS * 2 + LEVELS - 1


def test_log_prob_runs_each_network_once(model):
    traced = tf.function(model._scores).get_concrete_function(
        tf.TensorSpec([None, 16, 16, 3], tf.uint8), 1
    )
    assert num_networks_run(traced) == NUM_CONVOLUTIONS
    scoring = model._compiled_scores(1, False).get_concrete_function()
    assert num_networks_run(scoring) == NUM_CONVOLUTIONS


def test_tfp_log_prob_of_the_distribution_runs_each_network_once(model):
    traced = tf.function(model.distribution.log_prob).get_concrete_function(
        tf.TensorSpec([None, 16, 16, 3])
    )
    assert num_networks_run(traced) == NUM_CONVOLUTIONS


def test_sample_runs_each_network_once(model):
    traced = model._compiled_samples(False).get_concrete_function()
    assert num_networks_run(traced) == NUM_CONVOLUTIONS


def test_sample_solves_for_the_inverse_matrices_of_a_level_at_once(model):
    graph = model._compiled_samples(False).get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    solves = [node for node in nodes if node.op == "MatrixTriangularSolve"]
    assert len(solves) == 2 * LEVELS  # of the lower and of the upper triangles


def test_log_prob_alone_is_that_of_the_statistics(model):
    images = random_images(5, (16, 16, 3))
    for num_draws in (1, 2):
        both = model.statistics(images, num_draws)["log_prob"], model.log_prob(images, num_draws)
        np.testing.assert_array_equal(*both)


def test_batch_size_is_unknown_to_the_graph(model):
    scoring = model._compiled_scores(1, False).get_concrete_function()
    assert scoring.inputs[0].shape.as_list() == [None, 16, 16, 3]
    assert scoring.structured_outputs["log_prob"].shape.as_list() == [None]
    before = model._compiled_scores(1, False).experimental_get_tracing_count()
    for count in (1, 2, 5):
        assert model.log_prob(random_images(count, (16, 16, 3))).shape == [count]
    assert model._compiled_scores(1, False).experimental_get_tracing_count() == before


def test_initialisation_is_of_all_images_and_holds_hidden_layers_of_few(model, monkeypatch):
    images, seen = random_images(64, (16, 16, 3)), {8: set(), 4: set()}
    run = networks.ScaledConvolution.call

    def spy(layer, x, **kwargs):
        seen[x.shape[1]].add(len(x))
        return run(layer, x, **kwargs)

    other = models.build(config())
    widest = 16 * (config().model.num_hidden + 6)  # bytes of a pixel of a hidden layer
    monkeypatch.setattr(chunks, "_BYTES", 8 * 8 * 20 * widest)
    monkeypatch.setattr(networks.ScaledConvolution, "call", spy)
    other.initialize(images)
    # At 8x8, where layers are larger, and at 4x4: never more than a half.
    assert max(seen[8]) < 24 and seen[4] == {32}, seen
    for own, expected in zip(other.variables, model.variables, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 1), (12, 8, 3), (28, 28, 1)])
def test_any_shape_that_the_levels_divide(shape):
    model = models.build(config(shape, num_levels=2, num_steps=1, num_hidden=4))
    images = random_images(3, shape)
    model.initialize(images)
    assert np.all(np.isfinite(model.log_prob(images)))
    assert model.sample(2).shape == [2, *shape]


def test_weights_differ_between_seeds_steps_and_levels():
    kernels, config = [], GlowConfig(num_levels=2, num_hidden=4, num_steps=2)
    for seed in (0, 1):
        flow = models.build(Config(model=config, seed=seed))
        flow.initialize(random_images(3, flow.image_shape))
        named = [v for v in flow.trainable_variables if "lower" in v.name or "kernel" in v.name]
        kernels += [v.numpy().ravel() for v in named if np.any(v)]
    assert len(kernels) >= 2 * 2 * 2 * 3  # of a step the convolution, and two layers at least
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            assert len(first) != len(second) or np.any(first != second)


def parts(flow, kind):
    """The bijectors of a kind in a composition, at any depth, as they come towards the latent."""
    if isinstance(flow, kind):
        return [flow]
    nested = reversed(getattr(flow, "bijectors", ()))
    return [found for part in nested for found in parts(part, kind)]


def test_no_coupling_may_enlarge_much():
    """Where couplings could enlarge sevenfold, losses of single steps jumped by thousands."""
    flow = glow.glow_bijector(GlowConfig(num_levels=2, num_steps=2, num_hidden=4), (8, 8, 1))
    couplings = parts(flow, AffineCoupling)
    assert len(couplings) == 5  # that of each step, and the conditioned Gaussian between the levels
    for coupling in couplings:
        coupling.network = lambda kept: 1e6 * tf.ones_like(tf.concat([kept, kept], -1))
        log_det = coupling.forward_log_det_jacobian(tf.ones([1, 2, 2, 4]), event_ndims=3)
        assert 0 < log_det[0] / 8 < 0.12
