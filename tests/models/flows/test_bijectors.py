"""Every bijector, alone and composed, against autodiff in float64, fresh and after training."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.config import GlowConfig
from tfp_ood.keras import keras
from tfp_ood.models.flows import batch_norm, bijectors, couplings, glow, mixing, networks, walks

tfb = tfp.bijectors
F64 = tf.float64


def network(num_outputs, seed=0):
    return networks.CouplingNetwork(5, num_outputs, seed, policy="float64")


def normalized_conv(channels):
    actnorm = bijectors.ActNorm(channels, F64)
    return mixing.NormalizedConv1x1(actnorm, mixing.InvertibleConv1x1(channels, 1, F64))


def fitted_batch_norm(channels):
    normalization = batch_norm.BatchNorm(channels, F64)
    normalization.initialize(2 + 3 * images((2, 3, channels), count=9, seed=5))
    return normalization


def residual(num_outputs):
    return networks.ResidualNetwork(2, 5, num_outputs, 0, policy="float64")


def small_glow(levels, shape, coupling="affine_sigmoid"):
    model = GlowConfig(num_levels=levels, num_steps=2, num_hidden=4, coupling=coupling)
    return glow.glow_bijector(model, shape, policy="float64", dtype=F64)


def factored():
    rest = tfb.Chain([bijectors.flatten_image((2, 2, 2)), normalized_conv(2)])
    return bijectors.factor_out((2, 2, 4), rest)


CASES = {
    "squeeze": (lambda: bijectors.Squeeze(F64), (4, 2, 3)),
    "actnorm": (lambda: bijectors.ActNorm(3, F64), (2, 3, 3)),
    "conv1x1": (lambda: mixing.InvertibleConv1x1(5, 3, F64), (2, 2, 5)),
    "normalized_conv": (lambda: normalized_conv(4), (2, 3, 4)),
    "affine": (lambda: couplings.AffineCoupling(network(4), F64), (3, 2, 4)),
    "affine_odd_channels": (lambda: couplings.AffineCoupling(network(2), F64), (3, 2, 3)),
    "affine_keeps_second": (
        lambda: couplings.AffineCoupling(network(4), F64, keep="second"),
        (3, 2, 4),
    ),
    "affine_keeps_second_of_odd": (
        lambda: couplings.AffineCoupling(network(4), F64, keep="second"),
        (3, 2, 3),
    ),
    "checkerboard": (lambda: bijectors.Checkerboard(F64), (2, 3, 8)),
    "batch_norm": (lambda: fitted_batch_norm(3), (2, 3, 3)),
    "affine_sigmoid": (
        lambda: couplings.AffineCoupling(network(4), F64, log_scale=couplings.sigmoid_scale),
        (3, 2, 4),
    ),
    "residual": (lambda: couplings.AffineCoupling(residual(4), F64), (3, 2, 4)),
    "additive": (lambda: couplings.AdditiveCoupling(network(2), F64), (3, 2, 4)),
    "factor_out": (factored, (2, 2, 4)),
    "glow_1_level": (lambda: small_glow(1, (4, 2, 1)), (4, 2, 1)),
    "glow_2_levels": (lambda: small_glow(2, (4, 4, 2)), (4, 4, 2)),
    "glow_3_levels": (lambda: small_glow(3, (8, 8, 1)), (8, 8, 1)),
    "glow_tanh": (lambda: small_glow(2, (4, 4, 1), "affine"), (4, 4, 1)),
    "glow_additive": (lambda: small_glow(2, (4, 4, 3), "additive"), (4, 4, 3)),
}


def images(shape, count=3, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(count, *shape)))


def train_one_step(bijector, x):
    """One step of maximum likelihood under a standard normal, large enough to be seen."""
    variables = bijector.trainable_variables
    if not variables:
        return
    with tf.GradientTape() as tape:
        y = bijector.forward(x)
        log_det = bijector.forward_log_det_jacobian(x, event_ndims=3)
        loss = 0.5 * tf.reduce_sum(y**2) / len(x) - tf.reduce_mean(log_det)
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    keras.optimizers.Adam(0.05).apply_gradients(zip(gradients, variables, strict=True))


def jacobians(function, x):
    """Of each of B inputs by itself, `[B, D, D]`: outputs by inputs.

    As many copies of an input as it has dimensions: of copy i, output i is derived. All in one pass
    without a graph, which would take longer to trace than this takes to run.
    """
    size = int(np.prod(x.shape[1:]))
    copies = tf.repeat(x, size, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        outputs = tf.linalg.diag_part(tf.reshape(function(copies), [len(x), size, size]))
    return tf.reshape(tape.gradient(outputs, copies), [len(x), size, size]).numpy()


def autodiff_log_det(bijector, x):
    return np.linalg.slogdet(jacobians(bijector.forward, x))[1]


@functools.cache
def made(name, trained):
    """A case's bijector, fresh or trained, and its images."""
    build, shape = CASES[name]
    bijector, x = build(), images(shape)
    if trained:
        train_one_step(bijector, x)
    return bijector, x


@pytest.fixture(params=CASES, name="case")
def _case(request, trained):
    return made(request.param, trained)


@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "trained"])
class TestDensity:
    def test_round_trip(self, case):
        bijector, x = case
        y = bijector.forward(x)
        # A new tensor, or TFP's cache would hand back x itself.
        np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, atol=1e-9)

    def test_log_det_is_that_of_the_jacobian(self, case):
        bijector, x = case
        forward = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=3)
        expected = autodiff_log_det(bijector, x)
        np.testing.assert_allclose(np.broadcast_to(forward, [3]), expected, atol=1e-9)

    def test_inverse_log_det_is_minus_the_forward_one(self, case):
        bijector, x = case
        y = tf.identity(bijector.forward(x))
        inverse = bijector.inverse_log_det_jacobian(y, event_ndims=len(y.shape) - 1)
        forward = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=3)
        np.testing.assert_allclose(
            np.broadcast_to(inverse, [3]), -np.broadcast_to(forward, [3]), atol=1e-9
        )

    def test_one_walk_tells_value_and_log_det(self, case):
        bijector, x = case
        y, log_det = walks.forward_and_log_det(bijector, tf.identity(x))
        np.testing.assert_allclose(y, bijector.forward(x), atol=1e-12)
        expected = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=3)
        np.testing.assert_allclose(np.broadcast_to(log_det, [3]), np.broadcast_to(expected, [3]))


def test_training_step_changes_every_weight():
    bijector, x = small_glow(2, (4, 4, 2)), images((4, 4, 2))
    bijector.forward(x)
    before = [v.numpy() for v in bijector.trainable_variables]
    train_one_step(bijector, x)
    train_one_step(bijector, x)  # the first moves the zero-initialised layers only
    for old, variable in zip(before, bijector.trainable_variables, strict=True):
        if old.size > 1:
            assert np.any(old != variable.numpy()), variable.name


def test_event_shapes():
    bijector = small_glow(2, (4, 8, 3))
    assert bijector.forward_event_shape([4, 8, 3]) == [96]
    assert bijector.inverse_event_shape([96]) == [4, 8, 3]
    squeeze = bijectors.Squeeze()
    assert squeeze.forward_event_shape([4, 8, 3]) == [2, 4, 12]
    assert squeeze.inverse_event_shape([2, 4, 12]) == [4, 8, 3]
    np.testing.assert_array_equal(squeeze.forward_event_shape_tensor([4, 8, 3]), [2, 4, 12])
    np.testing.assert_array_equal(squeeze.inverse_event_shape_tensor([2, 4, 12]), [4, 8, 3])


def test_squeeze_is_space_to_depth():
    x = images((4, 6, 3))
    np.testing.assert_array_equal(bijectors.Squeeze(F64).forward(x), tf.nn.space_to_depth(x, 2))


def test_folded_actnorm_and_conv_equal_the_two_in_turn():
    x = images((2, 3, 4))
    folded = normalized_conv(4)
    folded.initialize(x)
    in_turn = tfb.Chain([folded.conv, folded.actnorm])
    np.testing.assert_allclose(folded.forward(x), in_turn.forward(x), atol=1e-12)
    y = images((2, 3, 4), seed=1)
    np.testing.assert_allclose(folded.inverse(y), in_turn.inverse(y), atol=1e-12)
    np.testing.assert_allclose(
        folded.forward_log_det_jacobian(x, event_ndims=3),
        in_turn.forward_log_det_jacobian(x, event_ndims=3),
        atol=1e-12,
    )


def test_conv1x1_starts_as_a_rotation_and_survives_a_tiny_diagonal():
    conv = mixing.InvertibleConv1x1(6, 0, F64)
    np.testing.assert_allclose(conv.matrix() @ tf.transpose(conv.matrix()), np.eye(6), atol=1e-12)
    conv.log_diagonal.assign(tf.fill([6], tf.constant(-30.0, F64)))
    log_det = conv.forward_log_det_jacobian(images((2, 2, 6)), event_ndims=3)
    np.testing.assert_allclose(log_det, 4 * 6 * -30.0)


def test_additive_coupling_keeps_the_volume():
    bijector = small_glow(2, (4, 4, 3), "additive")
    x = images((4, 4, 3))
    train_one_step(bijector, x)
    log_det = bijector.forward_log_det_jacobian(images((4, 4, 3), seed=7), event_ndims=3)
    assert np.shape(log_det) == () or np.ptp(log_det) == 0


def test_initialize_normalises_what_reaches_every_actnorm():
    bijector = small_glow(2, (8, 8, 1))
    x = 5 + 3 * images((8, 8, 1), count=64)
    latents = walks.initialize(bijector, x)
    np.testing.assert_allclose(latents, bijector.forward(tf.identity(x)), atol=1e-9)
    # The last layer of each level is an actnorm, so latents are normalised per channel.
    assert abs(np.mean(latents)) < 1e-6
    assert np.var(latents) == pytest.approx(1, abs=1e-3)


def hidden_layers(layers, x):
    """Outputs of the normalized convolutions."""
    first = layers.first(x)
    if isinstance(layers, networks.CouplingNetwork):
        return [first, layers.middle(tf.nn.relu(first))]
    return [first, *(block[0](tf.nn.relu(first)) for block in layers.blocks)]


@pytest.mark.parametrize("make_network", [network, residual])
@pytest.mark.parametrize("keep", ["first", "second"])
def test_initialize_normalises_the_hidden_layers_of_couplings(keep, make_network):
    """By the half that is kept: mean 0 and variance 1 of each channel, before the ReLU."""
    layers = make_network(4)
    coupling = couplings.AffineCoupling(layers, F64, keep=keep)
    x = 5 + 3 * images((4, 4, 4), count=64)
    coupling.forward(x)  # builds
    coupling.initialize(x)
    kept = x[..., :2] if keep == "first" else x[..., 2:]
    for hidden in hidden_layers(layers, kept):
        mean, variance = tf.nn.moments(hidden, [0, 1, 2])
        np.testing.assert_allclose(mean, np.zeros(5), atol=1e-6)
        np.testing.assert_allclose(variance, np.ones(5), rtol=1e-3)


def test_nothing_but_initialize_changes_weights():
    bijector, x = small_glow(2, (4, 4, 1)), images((4, 4, 1))
    y = bijector.forward(x)
    before = [v.numpy() for v in bijector.variables]
    bijector.forward(100 + x)
    bijector.inverse(y + 1)
    bijector.forward_log_det_jacobian(7 * x, event_ndims=3)
    for old, variable in zip(before, bijector.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_actnorm_of_a_constant_channel_is_finite():
    actnorm = bijectors.ActNorm(1, F64)
    actnorm.initialize(tf.zeros([4, 2, 2, 1], F64))
    assert np.all(np.isfinite(actnorm.forward(images((2, 2, 1)))))


@pytest.mark.parametrize(
    ("log_scale", "least", "most"),
    [(couplings.tanh_scale, -2.0, 2.0), (couplings.sigmoid_scale, -2.18910, 0.113485)],
)
def test_affine_log_scale_is_bounded(log_scale, least, most):
    x = tf.ones([1, 2, 2, 4])
    for raw, expected in ((-1e6, least), (0.0, 0.0), (1e6, most)):
        coupling = couplings.AffineCoupling(
            lambda x, raw=raw: raw * tf.ones([1, 2, 2, 4]), log_scale=log_scale
        )
        log_det = coupling.forward_log_det_jacobian(x, event_ndims=3)
        np.testing.assert_allclose(log_det, [8 * expected], rtol=1e-4, atol=1e-5)


def test_batch_norm_under_batch_statistics():
    """The paper's section 3.7: moments of the batch, and log-det -H W / 2 sum log(var + eps)."""
    normalization, x = fitted_batch_norm(3), 7 + 2 * images((4, 5, 3), count=8)
    averages = [normalization.mean.numpy(), normalization.variance.numpy()]
    with batch_norm.batch_statistics():
        y = normalization.forward(x)
        log_det = normalization.forward_log_det_jacobian(x, event_ndims=3)
    np.testing.assert_allclose(np.mean(y, (0, 1, 2)), 0, atol=1e-9)
    np.testing.assert_allclose(np.var(y, (0, 1, 2)), 1, atol=1e-5)
    moments = [np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))]
    np.testing.assert_allclose(log_det, -0.5 * 20 * np.sum(np.log(moments[1] + 1e-6)))
    # One step of the averages, although the value and the log-det were asked for apart.
    for old, new, batch in zip(
        averages, [normalization.mean, normalization.variance], moments, strict=True
    ):
        np.testing.assert_allclose(new, 0.95 * old + 0.05 * batch)


def test_batch_norm_gradients_flow_through_the_moments():
    """The normalised batch does not change with its scale, so neither does a loss of it alone."""
    normalization, x = fitted_batch_norm(1), images((2, 2, 1), count=8)
    scale = tf.Variable(tf.constant(3.0, F64))
    with batch_norm.batch_statistics(), tf.GradientTape() as tape:
        loss = tf.reduce_sum(normalization.forward(scale * x) ** 3)
    np.testing.assert_allclose(tape.gradient(loss, scale), 0, atol=1e-4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(normalization.forward(scale * x) ** 3)
    assert abs(tape.gradient(loss, scale)) > 1e-3


def test_batch_norm_uses_the_batch_in_its_context_only():
    normalization, x = fitted_batch_norm(2), images((2, 2, 2))
    outside = normalization.forward(tf.identity(x))
    with pytest.raises(RuntimeError), batch_norm.batch_statistics():
        assert np.any(normalization.forward(tf.identity(x)) != outside)
        raise RuntimeError
    averages = normalization.mean.numpy()
    normalization.forward(tf.identity(x))
    np.testing.assert_array_equal(normalization.mean, averages)


def test_nothing_comes_between_a_bias_and_its_relu():
    """So that product, bias and ReLU are one kernel."""
    layer, x = network(4), images((3, 2, 2))
    layer(x)  # builds
    graph = tf.function(layer.call).get_concrete_function(x).graph
    rectified = [op.inputs[0].op for op in graph.get_operations() if op.type == "Relu"]
    assert [op.type for op in rectified] == ["BiasAdd"] * 2
    assert [op.inputs[0].op.type for op in rectified] == ["Conv2D", "MatMul"]


def test_residual_network_starts_at_zero_and_adds_its_blocks():
    layer, x = residual(4), images((3, 2, 2))
    np.testing.assert_array_equal(layer(x), np.zeros([3, 3, 2, 4]))
    assert len(layer.trainable_variables) == 3 * 6
    kernels = [layer.first.kernel, *(first.kernel for first, _ in layer.blocks)]
    assert len({kernel.numpy().tobytes() for kernel in kernels}) == 3
    np.testing.assert_array_equal(layer.blocks[0][1].kernel, np.zeros([3, 3, 5, 5]))
    hidden = layer.first(x)
    for number, (first, second) in enumerate(layer.blocks):
        second.kernel.assign(images((3, 5, 5), count=3, seed=number))
        hidden = hidden + second(tf.nn.relu(first(tf.nn.relu(hidden))))
    layer.last.kernel.assign(tf.ones_like(layer.last.kernel))
    np.testing.assert_allclose(layer(x), layer.last(tf.nn.relu(hidden)))
