"""Folded weights are those of each layer alone, and leave few operations where images are."""

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.models.flows.test_flow import random_images
from tfp_ood import models, units
from tfp_ood.config import Config, DataConfig, GlowConfig
from tfp_ood.models import folding, gradients
from tfp_ood.models.flows import bijectors, mixing, networks
from tfp_ood.training import fused

RNG = np.random.default_rng(0)


def mix(channels, seed):
    actnorm = bijectors.ActNorm(channels)
    actnorm.bias.assign(RNG.normal(size=channels))
    actnorm.log_scale.assign(RNG.normal(size=channels))
    return mixing.NormalizedConv1x1(actnorm, mixing.InvertibleConv1x1(channels, seed))


def convolution(num_inputs, num_outputs, size):
    layer = networks.ScaledConvolution(num_outputs, size, 0)
    layer.build(tf.TensorShape([None, 4, 4, num_inputs]))
    layer.bias.assign(RNG.normal(size=num_outputs))
    layer.log_scale.assign(RNG.normal(size=num_outputs))
    return layer


@pytest.fixture(name="layers")
def _layers():
    """Of kinds and sizes that come by turns."""
    return [
        mix(4, 0),
        convolution(2, 5, 3),
        mix(2, 1),
        convolution(3, 5, 1),
        mix(4, 2),
        convolution(5, 2, 3),
    ]


def test_layers_are_folded_together_as_each_alone(layers):
    assert [len(group) for group in folding.groups(layers)] == [2, 2, 1, 1]
    for layer, folded in zip(layers, folding.fold(layers), strict=True):
        for together, alone in zip(folded, folding.of(layer), strict=True):
            assert together.shape == alone.shape
            np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_a_product_a_bias_and_a_log_det_are_an_actnorm_and_a_mix(layers):
    x = tf.constant(RNG.normal(size=[3, 2, 2, 4]), tf.float32)
    part = layers[0]
    scaled, log_det = part.actnorm._forward_and_log_det(x)
    expected = mixing.mix_channels(scaled, part.conv.matrix())
    y, found = part._forward_and_log_det(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, log_det + part.conv.log_det(x), rtol=1e-5)


def test_layers_compute_with_what_is_used(layers):
    inputs = [
        tf.ones([1, 4, 4, n.actnorm.bias.shape[0] if hasattr(n, "actnorm") else n.kernel.shape[2]])
        for n in layers
    ]
    runs = [layer.forward if hasattr(layer, "forward") else layer for layer in layers]
    more = [(first, bias + 1.0, *rest) for first, bias, *rest in folding.fold(layers)]
    before = [run(x) for run, x in zip(runs, inputs, strict=True)]
    with folding.using(layers, more):
        inside = [run(x + 0.0) for run, x in zip(runs, inputs, strict=True)]
    after = [run(x + 0.0) for run, x in zip(runs, inputs, strict=True)]
    for ours, other, again in zip(before, inside, after, strict=True):
        np.testing.assert_allclose(other, ours + 1.0, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(again, ours)


def test_a_further_step_of_the_flow_adds_few_operations():
    """To trace them and to optimize their graph is most of the time before a first step."""
    shape, nodes = (8, 8, 1), {}
    for steps in (2, 4):
        options = GlowConfig(num_levels=1, num_steps=steps, num_hidden=4)
        model = models.build(Config(data=DataConfig(image_shape=shape), model=options))
        model.initialize(random_images(4, shape))
        model.compile(optimizer=fused.Adam(1e-3))
        batch = {"image": tf.constant(random_images(4, shape))}
        traced = tf.function(model._bits_and_gradients)
        graph = traced.get_concrete_function(batch, tf.constant([0, 0])).graph.as_graph_def()
        of_images = sum(len(function.node_def) for function in graph.library.function)
        nodes[steps] = of_images, len(graph.node)
    with_images, of_weights = ((b - a) / 2 for a, b in zip(nodes[2], nodes[4], strict=True))
    assert 50 < with_images < 150 and of_weights < 120, nodes


@pytest.mark.parametrize("name", ["glow_class_conditional", "real_nvp", "pixel_cnn_categorical"])
def test_gradients_through_folded_weights_are_those_of_the_weights(name, monkeypatch):
    case, model = contracts.CASES[name], contracts.shared(name, "initialized")
    images = tf.constant(contracts.random_images(case, 5))
    # So that both halves of a batch and the whole of it see the same.
    monkeypatch.setattr(
        model, "_training_log_prob", lambda images, *_: model._scores(images, 1)["log_prob"]
    )
    assert model._foldable()
    _, found = model._bits_and_gradients({"image": images}, tf.constant([0, 0]))
    with tf.GradientTape() as tape:
        log_prob = model._scores(images, 1)["log_prob"]
        bits = tf.reduce_mean(units.bits_per_dim(log_prob, model.num_dims))
    for ours, expected in zip(found, tape.gradient(bits, model.trainable_variables), strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)


def test_what_is_folded_is_no_part_of_a_model_s_names_and_files():
    model = contracts.shared("glow", "fresh")
    assert model._foldable() and not model.layers
    assert "002_network/first/kernel" in gradients.names(model)
    assert not any("foldable" in name for name in tf.train.TrackableView(model).children(model))
