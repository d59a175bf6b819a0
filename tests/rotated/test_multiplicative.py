"""Multiplicative normalizing flows: flows with right log-dets, moments as drawn, a finite KL."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.keras import keras
from tfp_ood.rotated.config import LeNetConfig
from tfp_ood.rotated.multiplicative import (
    MultiplicativeConv2D,
    MultiplicativeDense,
    MultiplicativeKernel,
    coupling_flow,
)

tfd = tfp.distributions

CONFIG = LeNetConfig(prior_scale=1.0, num_couplings=2, flow_hidden=6)


@pytest.fixture(autouse=True)
def _seed():
    """Initial weights and draws are the same in every run."""
    keras.utils.set_random_seed(0)


def shaken(owner, seed=0):
    """Moves all weights away from their start, where flows are the identity."""
    rng = np.random.default_rng(seed)
    for variable in owner.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return owner


def make_kernel(shape=(5, 4), axis=-2):
    kernel = MultiplicativeKernel(shape, axis, CONFIG)
    kernel.divergence()
    return kernel


@pytest.mark.parametrize("num_dims", [2, 5])
def test_log_det_of_the_flow_is_that_of_its_jacobian(num_dims):
    flow = coupling_flow(num_dims, num_couplings=3, num_hidden=4)
    x = tf.random.stateless_normal([3, num_dims], [0, 1])
    np.testing.assert_allclose(flow.forward(x), x)  # at the start
    shaken(flow)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = flow.forward(tf.identity(x))
    jacobian = tape.batch_jacobian(y, x)
    expected = np.linalg.slogdet(jacobian)[1]
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(flow.forward_log_det_jacobian(x), expected, atol=1e-5)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-5)


def test_every_dimension_of_the_noise_is_changed_by_two_couplings():
    flow = coupling_flow(5, num_couplings=2, num_hidden=4)
    x = tf.random.stateless_normal([1, 5], [0, 1])
    shaken(flow)
    assert np.all(np.abs(flow.forward(x) - x) > 1e-4)


def test_densities_of_noise_and_auxiliary_have_mass_one():
    kernel = shaken(make_kernel((2, 3)))
    for distribution in (
        kernel.noise_distribution(),
        kernel.auxiliary_distribution(tf.constant(kernel.mean)),
    ):
        # A grid as wide and as fine as the density, which may be narrow: around its own draws.
        draws = distribution.sample(4000).numpy()
        reach = 12.0 * draws.std(axis=0)
        axes = np.linspace(draws.mean(axis=0) - reach, draws.mean(axis=0) + reach, 601)
        points = np.stack(np.meshgrid(*axes.T), axis=-1).reshape(-1, 2).astype(np.float32)
        cell = np.prod(axes[1] - axes[0])
        mass = np.exp(np.float64(distribution.log_prob(points))).sum() * cell
        np.testing.assert_allclose(mass, 1.0, atol=0.01)


def test_divergence_is_its_three_terms():
    kernel = shaken(make_kernel())
    tf.random.set_seed(3)
    got = kernel.divergence()
    tf.random.set_seed(3)
    noise, log_q = kernel.noise_distribution().experimental_sample_and_log_prob()
    mean, scale = kernel.mean * noise[:, tf.newaxis], kernel.scale
    drawn = tfd.Normal(mean, scale).sample()
    log_r = kernel.auxiliary_distribution(drawn).log_prob(noise)
    gaussian = 0.5 * tf.reduce_sum(mean**2 + scale**2 - 1.0 - 2.0 * tf.math.log(scale))
    np.testing.assert_allclose(got, gaussian + log_q - log_r, rtol=1e-4)


LAYERS = {
    "dense": (lambda **kw: MultiplicativeDense(4, **kw), (6,)),
    "conv": (lambda **kw: MultiplicativeConv2D(4, 3, **kw), (5, 5, 2)),
}


def make_layer(kind, divergence=lambda kl: kl):
    build, shape = LAYERS[kind]
    layer = build(divergence=divergence, config=CONFIG)
    layer(tf.zeros([1, *shape]))
    return shaken(layer), shape


def explicit(kind, layer, x):
    """The layer's output with a kernel that is drawn as a whole, for one example."""
    noise = layer.kernel.noise_distribution().sample()
    scaled = noise[:, tf.newaxis] if kind == "dense" else noise
    drawn = tfd.Normal(layer.kernel.mean * scaled, layer.kernel.scale).sample()
    if kind == "dense":
        return x @ drawn + layer.bias
    return tf.nn.conv2d(x, drawn, 1, "VALID") + layer.bias


@tf.function
def repeated(num, draw):
    """What `num` calls of a function give, each one with draws of its own, as one batch."""
    return tf.map_fn(lambda _: draw()[0], tf.range(num), tf.float32)


@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_have_the_moments_of_drawn_kernels(kind):
    layer, shape = make_layer(kind)
    x = tf.random.stateless_normal([1, *shape], [1, 2])
    num = 4000
    theirs = repeated(num, lambda: explicit(kind, layer, x)).numpy()
    deviation = theirs.std(axis=0)
    in_training = layer(tf.repeat(x, num, axis=0), training=True).numpy()
    in_prediction = repeated(num, lambda: layer(x)).numpy()
    for ours in (in_training, in_prediction):
        assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 0.1 * deviation)
        np.testing.assert_allclose(ours.std(axis=0), deviation, rtol=0.12)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_loss_is_added_in_training_only(kind):
    layer, shape = make_layer(kind, divergence=lambda kl: kl / 7.0)
    layer(tf.zeros([1, *shape]))
    assert not layer.losses
    tf.random.set_seed(0)
    layer(tf.zeros([1, *shape]), training=True)
    assert len(layer.losses) == 1 and np.isfinite(layer.losses[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_all_weights_have_gradients_and_survive_saving(kind, tmp_path):
    layer, shape = make_layer(kind)
    with tf.GradientTape() as tape:
        out = layer(tf.random.stateless_normal([3, *shape], [1, 2]), training=True)
        loss = tf.reduce_sum(out**2) + layer.losses[0]
    gradients = tape.gradient(loss, layer.trainable_variables)
    # 10 of the kernel, its noise and r; 4 for each of 2 x 2 couplings; the bias.
    assert len(gradients) == 7 + 16 + 1
    assert all(g is not None and np.all(np.isfinite(g)) for g in gradients)
    model = keras.Sequential([layer])
    model.build([None, *shape])
    model.save_weights(tmp_path / "weights")
    other, _ = make_layer(kind)
    again = keras.Sequential([other])
    again.build([None, *shape])
    again.load_weights(tmp_path / "weights").assert_existing_objects_matched()
    for ours, theirs in zip(layer.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_bound_on_the_kl_is_never_below_it():
    """By Monte Carlo: log q(W) of the marginal is the log mean of q(W|z) over many z."""
    kernel = shaken(make_kernel((2, 1)))

    @tf.function
    def both():
        noise = kernel.noise_distribution().sample(4000)
        means = kernel.mean[:, 0] * noise
        drawn = means[:1] + kernel.scale[:, 0] * tf.random.normal([1, 2])
        given = tfd.MultivariateNormalDiag(means[1:], kernel.scale[:, 0]).log_prob(drawn)
        log_q = tf.reduce_logsumexp(given) - tf.math.log(3999.0)
        prior = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(drawn))
        return kernel.divergence(), log_q - prior

    tf.random.set_seed(0)
    bound, exact = np.array([both() for _ in range(500)]).T
    error = 3 * np.hypot(bound.std(), exact.std()) / np.sqrt(500)
    assert np.all(np.isfinite(bound)) and bound.mean() > exact.mean() - error
    assert exact.mean() > -error
