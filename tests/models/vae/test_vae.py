"""A VAE as a model of discrete images: a bound that holds, tightens, and has mass one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.flows.test_flow import random_images
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, TrainConfig, VAEConfig
from tfp_ood.data.untuned import untuned
from tfp_ood.keras import keras
from tfp_ood.models import dequantize, whiteness
from tfp_ood.models.vae.build import VAE
from tfp_ood.training import fused
from tfp_ood.training.weights import write_weights

tfd = tfp.distributions

SHAPE = (7, 10, 1)  # neither side divides by 2 all the way
SMALL = VAEConfig(num_latents=4, num_filters=4)
KINDS = {
    "categorical": SMALL,
    "logistic": dataclasses.replace(SMALL, decoder="logistic"),
    "mixture": dataclasses.replace(SMALL, prior="mixture", decoder="logistic"),
}


def build(sizes=SMALL, shape=SHAPE, seed=0, precision="float32"):
    train = TrainConfig(precision=precision)
    config = Config(data=DataConfig(image_shape=shape), model=sizes, train=train, seed=seed)
    model = models.build(config)
    model.initialize(random_images(1, shape))
    return model


def fit(model, steps, images, learning_rate=1e-2):
    model.compile(optimizer=fused.Adam(learning_rate, jit_compile=False))
    batches = untuned(tf.data.Dataset.from_tensors({"image": images}).repeat())
    history = model.fit(batches, epochs=2, steps_per_epoch=steps // 2, verbose=0)
    return history.history["bits_per_dim"]


def trained_model(kind):
    model = build(KINDS[kind])
    fit(model, 20, random_images(64, SHAPE))
    return model


@pytest.fixture(scope="module", name="trained")
def _trained():
    return {kind: trained_model(kind) for kind in KINDS}


@pytest.fixture(name="model", params=KINDS)
def _model(request, trained):
    return trained[request.param]


def test_draws_are_averaged_in_log_space_and_nested(model):
    """Importance weights written out once more: the first draws of a larger K are the same."""
    images = tf.constant(random_images(5, SHAPE))
    posterior, log_weights = model.posterior(images), []
    for draw in range(3):
        noise = dequantize.content_normal(images, SMALL.num_latents, tf.constant(draw), 0)
        latents = posterior.mean() + posterior.stddev() * noise
        likelihood = tfd.Independent(model.pixels.distribution(model.decoder(latents)), 3)
        log_p = likelihood.log_prob(tf.cast(images, likelihood.dtype))
        log_p += model.prior().log_prob(latents) - posterior.log_prob(latents)
        log_weights.append(np.float64(log_p))
        shift = np.max(log_weights, 0)
        expected = np.log(np.mean(np.exp(np.array(log_weights) - shift), 0)) + shift
        np.testing.assert_allclose(model.log_prob(images, draw + 1), expected, rtol=1e-5)


@pytest.mark.parametrize("decoder", ["categorical", "logistic"])
def test_total_mass_is_one(decoder):
    """All 256 images of one pixel: the latent integrated exactly, then by importance sampling."""
    model = build(VAEConfig(num_latents=1, num_filters=2, decoder=decoder), (1, 1, 1))
    fit(model, 20, random_images(64, (1, 1, 1)))
    images = tf.constant(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1))
    grid = tf.linspace([-6.0], [6.0], 61)
    weights = tf.nn.softmax(model.prior().log_prob(grid)).numpy()
    every_pair = tf.tile(images, [61, 1, 1, 1]), tf.repeat(grid, 256, axis=0)
    exact = weights @ np.exp(model._reconstruction(*every_pair)).reshape(61, 256)
    assert exact.sum() == pytest.approx(1.0, abs=1e-5)
    estimate = np.exp(np.float64(model.log_prob(images, 100)))
    assert estimate.sum() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(estimate, exact, rtol=0.3, atol=1e-3)


def test_kl_is_that_of_many_draws(model):
    images = random_images(3, SHAPE)
    posterior = model.posterior(images)
    latents = posterior.sample(20_000, seed=[0, 1])
    log_ratio = posterior.log_prob(latents) - model.prior().log_prob(latents)
    mean, error = np.mean(log_ratio, 0), np.std(log_ratio, 0) / np.sqrt(20_000)
    statistics = model.statistics(images, 200)
    # Exact under the Gaussian prior, of 200 draws under the mixture.
    error += np.std(log_ratio, 0) / np.sqrt(200) if model._options.prior == "mixture" else 0
    assert np.all(np.abs(statistics["kl"] - mean) < 5 * error + 1e-3)


def test_samples_have_normal_scores_of_white_noise(model):
    """What the decoder drew of given latents; within five standard errors over 200 images."""
    latents = model._latent_samples(200, tf.constant([0, 1]), tf.constant(1.0))
    noise = tf.random.stateless_uniform([200, *model.image_shape], [1, 2])
    drawn = model.pixels.draw(model.decoder(latents), noise)
    images = tf.cast(drawn, tf.uint8)
    told = model.pixels.told(model.decoder(latents), tf.cast(images, tf.int32))
    residual, scores = model._residual(images, told)
    count = np.size(scores)
    assert abs(np.mean(scores)) < 5 / np.sqrt(count)
    assert abs(np.var(scores) - 1) < 5 * np.sqrt(2 / count)
    assert abs(np.mean(residual)) < 5 * np.std(residual) / np.sqrt(count) + 0.5 / 255
    found = whiteness.tests(scores, "residual")
    for name, expected in {"anderson_darling": 0.38, "autocorrelation": 0.0}.items():
        values = found[f"{name}.residual"].numpy()
        assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(200) + 0.01


def test_norms_are_of_residual_and_posterior(model):
    """And the tests are those of the residual of the first draw, the same for any K."""
    images = tf.constant(random_images(6, SHAPE))
    posterior = model.posterior(images)
    noise = dequantize.content_normal(images, SMALL.num_latents, tf.constant(0), 0)
    parameters = model.decoder(posterior.mean() + posterior.stddev() * noise)
    told = model.pixels.told(parameters, tf.cast(images, tf.int32))
    parts = {
        "residual": np.float64(images / 255) - np.float64(told.mean) / 255,
        "posterior_mean": np.float64(posterior.mean()),
        "posterior_scale": np.float64(posterior.stddev()),
    }
    _, scores = model._residual(images, told)
    tests = whiteness.tests(scores, "residual")
    for num_draws in (1, 2):
        statistics = model.statistics(images, num_draws)
        for name, values in parts.items():
            flat = values.reshape(6, -1)
            expected = np.abs(flat).sum(1), np.sqrt(np.square(flat).sum(1))
            np.testing.assert_allclose(statistics[f"norm_1.{name}"], expected[0], rtol=1e-4)
            np.testing.assert_allclose(statistics[f"norm_2.{name}"], expected[1], rtol=1e-4)
        for name, values in tests.items():
            np.testing.assert_allclose(statistics[name], values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_finite_however_sure_the_model_is(kind):
    """Decoders that put all mass into one value, or lie far outside of the range."""
    model = build(KINDS[kind])
    images = np.concatenate([random_images(2, SHAPE), np.zeros((1, *SHAPE), np.uint8)])
    images = np.concatenate([images, 255 - images])
    last = model.decoder.last
    last.kernel.assign(tf.zeros_like(last.kernel))
    for scale in (100.0, -100.0):
        last.bias.assign(tf.linspace(-scale, scale, last.bias.shape[0]))
        for name, values in model._scores(tf.constant(images), 1).items():
            assert np.all(np.isfinite(values)), name


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 3), (28, 28, 1), (32, 32, 3)])
def test_any_size_of_image(shape):
    assert VAEConfig.reconstructs
    model = build(dataclasses.replace(SMALL, num_filters=2), shape)
    images = random_images(2, shape)
    assert model.log_prob(images).shape == [2]
    assert model.sample(3).shape == [3, *shape]
    assert model.reconstruct(images).shape == [2, *shape]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_and_reach_every_weight(kind):
    sizes = dataclasses.replace(KINDS[kind], kl_warmup_steps=10, free_bits=0.01)
    model = build(sizes)
    model.compile(optimizer=fused.Adam(jit_compile=False))
    model.optimizer.iterations.assign(5)
    # Black and white ones too: the open bins of the logistic.
    images = np.concatenate([random_images(4, SHAPE), np.zeros((2, *SHAPE), np.uint8)])
    images = np.concatenate([images, 255 - images])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model._training_log_prob(images, None, tf.constant([0, 0])))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0), variable.name


def test_training_objective_is_the_elbo(model):
    """Without warm-up or free bits: its mean over noise is that of the scores' ELBO.

    Half a standard deviation is five standard errors of 100 draws.
    """
    images = tf.constant(random_images(8, SHAPE))
    objective = tf.function(lambda seed: model._training_log_prob(images, None, seed))
    values = [np.mean(objective(tf.constant([0, k]))) for k in range(100)]
    expected = np.mean(model.statistics(images, 100)["elbo"])
    assert np.mean(values) == pytest.approx(expected, abs=float(np.std(values)) / 2 + 0.01)


def objective(sizes, step=0):
    """Mean of the training objective of one untrained model, with other options."""
    model = build(sizes)
    model.compile(optimizer=fused.Adam(jit_compile=False))
    model.optimizer.iterations.assign(step)
    images = random_images(8, SHAPE)
    log_prob = model._training_log_prob(tf.constant(images), None, tf.constant([0, 0]))
    assert log_prob.shape == [len(images)]  # one each, whatever the KL is averaged over
    return float(np.mean(log_prob))


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_warm_up_weighs_the_kl_from_zero_to_one(prior):
    plain = dataclasses.replace(SMALL, prior=prior)
    slow = dataclasses.replace(plain, kl_warmup_steps=10)
    start, middle, end = (objective(slow, step) for step in (0, 5, 10))
    assert end == pytest.approx(objective(plain), rel=1e-6)
    assert objective(slow, 50) == pytest.approx(end, rel=1e-6)
    assert middle == pytest.approx((start + end) / 2, rel=1e-6)
    assert start != pytest.approx(end, rel=1e-5)


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_free_bits_are_the_least_that_each_dimension_costs(prior):
    plain = dataclasses.replace(SMALL, prior=prior)
    kl = objective(dataclasses.replace(plain, kl_warmup_steps=1)) - objective(plain)
    many = dataclasses.replace(plain, free_bits=kl + 1.0)  # more than any dimension has
    lost = objective(plain) + kl - objective(many)
    assert lost == pytest.approx((kl + 1.0) * SMALL.num_latents, abs=1e-3)
    few = dataclasses.replace(plain, free_bits=1e-6)
    assert objective(few) == pytest.approx(objective(plain), abs=1e-3)


def test_free_bits_are_of_the_whole_batch(monkeypatch):
    """Not of the half that a CPU computes at once, or of the share of one of two devices."""
    monkeypatch.setattr(VAE, "_reconstruction", lambda self, images, latents: 0.0 * latents[:, 0])
    images = np.repeat(random_images(2, SHAPE), 4, axis=0)
    images[:4] //= 8  # halves whose KL differs
    kl = tfd.kl_divergence(build().posterior(images).distribution, tfd.Normal(0.0, 1.0)).numpy()
    free = float(np.median(kl.mean(0)))
    expected = np.maximum(kl.mean(0), free).sum()
    in_halves = np.mean([np.maximum(half.mean(0), free).sum() for half in np.split(kl, 2)])
    assert in_halves > 1.001 * expected
    two = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    options, ends = tf.data.Options(), []
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = untuned(tf.data.Dataset.from_tensors({"image": images}).with_options(options))
    for strategy in (tf.distribute.get_strategy(), two):
        with strategy.scope():
            model = build(dataclasses.replace(SMALL, free_bits=free))
            model.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=strategy is two)
        (bits,) = model.fit(data, verbose=0).history["bits_per_dim"]
        assert bits * model.num_dims * np.log(2) == pytest.approx(expected, rel=1e-5)
        ends.append([v.numpy() for v in model.encoder.trainable_variables])
    start = build().encoder.trainable_variables
    for one, other, before in zip(*ends, start, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert np.any(one != before.numpy())


def test_temperature_scales_the_latents_only(trained):
    for kind in ("categorical", "mixture"):
        seed, model = tf.constant([0, 1]), trained[kind]
        cold, warm, hot = (
            model._latent_samples(500, seed, tf.constant(t)).numpy() for t in (0.0, 1.0, 2.0)
        )
        np.testing.assert_allclose(hot - cold, 2 * (warm - cold), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(warm.mean(0), model.prior().mean(), atol=0.3)


def test_reconstructions_resemble_their_images():
    """Each training image has one gray, which the latent must tell."""
    model, images = build(KINDS["logistic"]), random_images(64, SHAPE)
    fit(model, 100, images, 2e-3)
    again = model.reconstruct(images)
    assert again.dtype == tf.uint8 and again.shape == images.shape
    grays = [np.mean(pixels, axis=(1, 2, 3)) for pixels in (images, again)]
    assert np.corrcoef(grays)[0, 1] > 0.8


def test_weights_are_a_function_of_the_seed():
    same, other = build(), build(seed=1)
    for ours, theirs in zip(build().trainable_variables, same.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kernel = same.encoder.last.kernel
    assert np.any(kernel != other.encoder.last.kernel)


def test_networks_in_bfloat16_train():
    bits = fit(build(precision="mixed_bfloat16"), 20, random_images(64, SHAPE))
    assert bits[-1] < bits[0]


def test_weights_are_saved_by_the_names_of_keras_own(tmp_path):
    """By which those are read that were saved when the stacks were Keras' own."""
    model = build()
    write_weights(model, tmp_path / "weights")
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "weights"))}
    for part, size in (("encoder", 10), ("decoder", 12)):
        found = [name for name in names if name.startswith(f"{part}/convolutions/layer_with_")]
        assert len(found) == size, sorted(names)
