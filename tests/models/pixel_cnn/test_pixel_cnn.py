"""PixelCNNs beyond the contract: what each layer sees, how it starts, and total mass."""

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tfp_ood import units
from tfp_ood.models import chunks, folding, whiteness
from tfp_ood.models.pixel_cnn import build
from tfp_ood.models.pixel_cnn import layers as pixel_cnn_layers
from tfp_ood.models.pixel_cnn.layers import SELF, ShiftedConv, Taps, WholeImage
from tfp_ood.training import fused

PLUS_PLUS = {"num_hierarchies": 1, "num_layers": 1, "num_filters": 6, "num_mixtures": 3}
GATED = {"output": "categorical", "num_layers": 2, "num_filters": 6}
OPTIONS = pytest.mark.parametrize("options", [PLUS_PLUS, GATED], ids=["plus_plus", "gated"])


def case(options, image_shape, **more):
    return contracts.Case("pixel_cnn", {**options, **more}, image_shape)


def wild(model, seed=0, scale=0.3):
    """The model with all of its weights moved at random."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, scale, variable.shape))
    return model


WIDER = [Taps(-1, 0, -1, 1), Taps(-1, 0, -1, 0), Taps(-2, -1, -1, 1), Taps(0, 0, -3, -1)]


@pytest.mark.parametrize(
    ("taps", "stride"),
    [(SELF, 1), *((taps, stride) for taps in WIDER for stride in (1, 2))],
)
def test_convolution_sees_its_taps_only(taps, stride):
    """Against the sum over taps, written out, with zeros outside of the image."""
    layer = ShiftedConv(2, 3, 0, taps, stride)
    image = np.random.default_rng(0).normal(size=(4, 6, 2)).astype(np.float32)
    kernel, expected = folding.of(layer)[0].numpy(), np.zeros([4, 6, 3])
    for row, column in np.ndindex(4, 6):
        for i, j in np.ndindex(taps.height, taps.width):
            y, x = row + taps.top + i, column + taps.left + j
            if 0 <= y < 4 and 0 <= x < 6:
                expected[row, column] += image[y, x] @ kernel[i, j]
    np.testing.assert_allclose(layer(image[None])[0], expected[::stride, ::stride], atol=1e-5)


def test_kernel_has_the_norm_of_its_gain():
    layer = ShiftedConv(4, 3, 0, Taps(-1, 0, -1, 1))
    layer.gain.assign([1.0, 2.0, 3.0])
    norms = np.sqrt(np.sum(np.square(folding.of(layer)[0]), axis=(0, 1, 2)))
    np.testing.assert_allclose(norms, [1.0, 2.0, 3.0], rtol=1e-5)


@OPTIONS
@pytest.mark.parametrize("image_shape", [(4, 8, 1), (4, 8, 3)])
def test_initialisation_normalises_every_layer(options, image_shape):
    """Mean 0 and standard deviation `init_scale` over the images it was made from."""
    tiny = case(options, image_shape)
    model, images = contracts.initialized(tiny), contracts.random_images(tiny)
    seen = []

    def apply(layer, x):
        outputs = layer(x)
        seen.append(layer.name)
        values = np.reshape(outputs, [-1, layer.num_outputs])
        np.testing.assert_allclose(values.mean(0), 0.0, atol=1e-3)
        # A layer may be fed zeros (of a ReLU) only.
        fed = values.std(0) > 1e-5
        np.testing.assert_allclose(values.std(0)[fed], layer.init_scale, rtol=0.01)
        assert np.mean(fed) > 0.9
        return outputs

    inputs = pixel_cnn_layers.network_inputs(images)
    model._pixel_log_probs(inputs, tf.constant(images), apply=apply)
    layers = [layer for layer in model.submodules if isinstance(layer, ShiftedConv)]
    assert sorted(seen) == sorted(layer.name for layer in layers)


@OPTIONS
def test_initialisation_sees_few_images_at_once(options, monkeypatch):
    """And starts nearly as if it had seen all of them together, whose parts differ."""
    tiny = case(options, (4, 8, 3))
    images = np.sort(contracts.random_images(tiny, 256), axis=0)
    expected, seen = contracts.build(tiny), []
    expected.initialize(images)
    plain = ShiftedConv.plain
    monkeypatch.setattr(
        ShiftedConv, "plain", lambda layer, x: seen.append(len(x)) or plain(layer, x)
    )
    monkeypatch.setattr(chunks, "_BYTES", build._BYTES_PER_PIXEL * 4 * 8 * 64)
    model = contracts.build(tiny)
    model.initialize(np.random.default_rng(0).permutation(images))
    layers = [layer for layer in model.submodules if isinstance(layer, ShiftedConv)]
    assert seen == [64] * 4 * len(layers)
    for own, other in zip(model.trainable_variables, expected.trainable_variables, strict=True):
        if "gain" in own.name:
            np.testing.assert_allclose(own, other, rtol=0.2)
            assert np.mean(np.abs(own / other - 1)) < 0.05
    difference = model.log_prob(images) - expected.log_prob(images)
    assert np.abs(np.mean(units.bits_per_dim(difference, model.num_dims))) < 0.01


@OPTIONS
def test_no_two_layers_start_alike(options):
    model = contracts.build(case(options, (4, 8, 3)))
    layers = [layer for layer in model.submodules if isinstance(layer, ShiftedConv)]
    starts = {float(layer.direction[0, 0, 0, 0]) for layer in layers}
    assert len(starts) == len(layers)
    again = contracts.build(case(options, (4, 8, 3)))
    for one, other in zip(model.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


@OPTIONS
def test_mass_of_all_images_of_two_pixels_is_one(options):
    model = wild(contracts.initialized(case(options, (1, 2, 1))))
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 1, 2, 1)
    log_prob = np.concatenate([model.log_prob(part) for part in np.split(grid.astype(np.uint8), 8)])
    assert np.sum(np.exp(np.float64(log_prob))) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.slow  # the contract has it of trained models
@OPTIONS
def test_mass_of_all_colours_is_one(options):
    """Summed over blue, and over random pairs of red and green: 256^2 E[P(r, g)] = 1."""
    model = wild(contracts.initialized(case(options, (1, 1, 3))), scale=0.1)
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 256, (400, 1, 2))
    images = np.concatenate(
        [np.repeat(pairs, 256, 1), np.tile(np.arange(256)[None, :, None], (400, 1, 1))], -1
    )
    log_prob = model.log_prob(images.reshape(-1, 1, 1, 3).astype(np.uint8))
    red_green = np.exp(np.float64(log_prob)).reshape(400, 256).sum(1)
    estimates = red_green * 256**2
    error = np.std(estimates) / np.sqrt(400)
    assert abs(np.mean(estimates) - 1.0) < 4 * error and error < 0.3


def test_the_likelihood_is_the_sum_of_the_channels_log_softmax():
    """Written out; what each sees, `test_each_value_depends_on_those_before_it_alone` tells."""
    model = wild(contracts.initialized(case(GATED, (1, 1, 3))))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 1, 1, 3)).astype(np.uint8)
    run = WholeImage(pixel_cnn_layers.network_inputs(pixels))
    model.network.vertical(run)
    features = model.network.horizontal(run)
    expected = 0.0
    for channel in range(3):
        logits = model.head.logits(run, features, channel)
        values = pixels[..., channel].astype(np.int32)
        expected += tf.gather(tf.nn.log_softmax(logits), values, batch_dims=3)
    np.testing.assert_allclose(model.log_prob(pixels), tf.reshape(expected, [-1]), rtol=1e-5)


@OPTIONS
@pytest.mark.parametrize("image_shape", [(4, 8, 1), (4, 8, 3)])
def test_samples_have_normal_scores_of_white_noise(options, image_shape):
    """What a model drew is what it expects: within five standard errors over 300 images."""
    model = wild(contracts.initialized(case(options, image_shape)), scale=0.1)
    images = model.sample(300, seed=1)
    log_probs, scores = model._normal_scores(images)
    for values in np.reshape(scores, [-1, image_shape[2]]).T:
        assert abs(values.mean()) < 5 / np.sqrt(len(values))
        assert abs(values.var() - 1) < 5 * np.sqrt(2 / len(values))
    statistics = model.statistics(images)
    channels = ["gray"] if image_shape[2] == 1 else ["red", "green", "blue"]
    further = {f"{name}.{c}" for name in ("log_prob", *whiteness.TESTS) for c in channels}
    assert set(statistics) == {"log_prob"} | further
    for number, channel in enumerate(channels):
        np.testing.assert_allclose(
            statistics[f"log_prob.{channel}"],
            np.sum(log_probs[..., number], axis=(1, 2)),
            rtol=1e-4,
        )
        of_32_values = {"anderson_darling": 0.38, "autocorrelation": 0.0, "mean": 0.0}
        for name, expected in {**of_32_values, "kurtosis": 3 * 31 / 33}.items():
            values = statistics[f"{name}.{channel}"].numpy()
            assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(300) + 0.03, name


@OPTIONS
@pytest.mark.parametrize("image_shape", [(4, 8, 1), (4, 8, 3)])
def test_scores_and_training_have_one_likelihood(options, image_shape):
    """Summed over channels or in one: the same nats, which the channels' columns add up to."""
    tiny = case(options, image_shape)
    model, images = wild(contracts.initialized(tiny)), contracts.random_images(tiny)
    statistics = model._scores(tf.constant(images), 1)
    trained = model._training_log_prob(tf.constant(images), None, tf.constant([0, 0]))
    np.testing.assert_allclose(statistics["log_prob"], trained, rtol=1e-5)
    by_channel = [v for name, v in statistics.items() if name.startswith("log_prob.")]
    assert len(by_channel) == image_shape[2]
    np.testing.assert_allclose(sum(by_channel), trained, rtol=1e-5)


@OPTIONS
@pytest.mark.parametrize("channel", range(3))
def test_smaller_values_have_the_mass_of_their_sum(options, channel):
    """Of a pixel's channel given those before: over its 256 values."""
    model = wild(contracts.initialized(case(options, (1, 1, 3))))
    pixels = np.full([256, 1, 1, 3], 90, np.uint8)
    pixels[..., channel] = np.arange(256)[:, None, None]
    run = WholeImage(pixel_cnn_layers.network_inputs(pixels))
    found = model.head.conditionals(run, model._features(run), tf.constant(pixels))
    log_probs, below = (values.numpy()[:, 0, 0, channel] for values in found)
    mass = np.exp(np.float64(log_probs))
    assert np.sum(mass) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(below, np.cumsum(mass) - mass, atol=1e-4)


@OPTIONS
def test_training_computes_no_normal_scores(options, monkeypatch):
    tiny = case(options, (4, 8, 3))
    model, images = contracts.initialized(tiny), tf.constant(contracts.random_images(tiny))
    monkeypatch.delattr(whiteness, "tests")
    monkeypatch.setattr(type(model.head), "conditionals", None)
    assert np.all(np.isfinite(model._training_log_prob(images, None, tf.constant([0, 0]))))


def test_each_value_depends_on_those_before_it_alone():
    """Of the gated PixelCNN, whose masks between colours are in every layer."""
    tiny = case(GATED, (3, 4, 3), num_filters=18)
    model, images = wild(contracts.initialized(tiny)), contracts.random_images(tiny, 2)
    expected = model._normal_scores(tf.constant(images))[0].numpy()
    for number, place in enumerate(np.ndindex(3, 4, 3)):
        changed = images.copy()
        changed[(slice(None), *place)] ^= 128
        change = np.abs(model._normal_scores(tf.constant(changed))[0].numpy() - expected)
        found = np.any(change > 1e-5, axis=0).ravel()
        assert not found[:number].any()
        # Its own, and all later ones of its pixel.
        assert found[number : number - number % 3 + 3].all()
        if number == 0:
            assert found.reshape(3, 4, 3)[:2, :2].all(), "beside and below too"


@OPTIONS
def test_blue_depends_on_red_and_green(options):
    model = wild(contracts.initialized(case(options, (1, 1, 3))))

    def of_blue(red, green):
        images = np.stack(np.broadcast_arrays(red, green, np.arange(256)), -1)
        log_prob = model.log_prob(images.reshape(-1, 1, 1, 3).astype(np.uint8))
        return tf.nn.softmax(log_prob).numpy()

    base = of_blue(100, 100)
    for other in (of_blue(120, 100), of_blue(100, 120)):
        assert np.abs(base - other).sum() > 1e-3


@pytest.mark.parametrize("num_hierarchies", [2, 3])
def test_lower_resolutions_are_causal_in_training(num_hierarchies):
    """With dropout, whichever units it drops."""
    tiny = case(PLUS_PLUS, (4, 8, 1), num_hierarchies=num_hierarchies, dropout=0.3)
    model, images = wild(contracts.initialized(tiny)), tf.constant(contracts.random_images(tiny, 1))
    # As many copies of an image as it has pixels: of copy i, pixel i's likelihood is derived.
    images = tf.repeat(images, 32, axis=0)
    inputs = pixel_cnn_layers.network_inputs(images)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = model._pixel_log_probs(inputs, images, dropout=0.3, seed=tf.constant([0, 1]))
        values = tf.linalg.diag_part(tf.reshape(values, [32, 32]))
    influence = np.abs(tape.gradient(values, inputs)).sum(axis=3).reshape(32, 32)
    assert not np.any(np.triu(influence)) and np.any(np.tril(influence, -8))


@OPTIONS
def test_dropout_depends_on_the_step_alone(options):
    """A resumed run drops what it would have dropped."""
    tiny = case(options, (4, 8, 1), dropout=0.5)
    model, images = contracts.initialized(tiny), tf.constant(contracts.random_images(tiny, 8))

    def log_prob(*seed):
        return model._training_log_prob(images, None, tf.constant(seed)).numpy()

    np.testing.assert_array_equal(log_prob(0, 1), log_prob(0, 1))
    assert np.any(log_prob(0, 1) != log_prob(0, 2))
    assert np.any(log_prob(0, 1) != log_prob(1, 1))
    assert np.any(log_prob(0, 1) != model._scores(images, 1)["log_prob"])


def test_dropout_keeps_the_mean():
    run = WholeImage(tf.zeros([1]), dropout=0.25, seed=tf.constant([0, 1]))
    first, second = run.drop(tf.ones([10_000])), run.drop(tf.ones([10_000]))
    assert np.mean(first) == pytest.approx(1.0, abs=0.03)
    assert np.mean(first == 0) == pytest.approx(0.25, abs=0.03)
    assert np.any(first != second), "two layers drop alike"


@pytest.mark.slow
def test_same_seed_trains_the_same_model():
    tiny, bits = case(PLUS_PLUS, (4, 8, 1), dropout=0.2), []
    for _ in range(2):
        model = contracts.initialized(tiny)
        model.compile(optimizer=fused.Adam(5e-3, jit_compile=False))
        history = model.fit(contracts.batches(tiny), epochs=1, steps_per_epoch=4, verbose=0)
        bits.append(history.history["bits_per_dim"][-1])
    assert bits[0] == pytest.approx(bits[1], rel=1e-5)


@pytest.mark.parametrize("image_shape", [(4, 8, 1), (4, 8, 3)])
def test_plus_plus_starts_near_the_uniform_likelihood(image_shape):
    """Even for images of pure noise, whose channels have nothing in common."""
    model = contracts.initialized(case(PLUS_PLUS, image_shape, num_mixtures=10))
    noise = np.random.default_rng(0).integers(0, 256, (64, *image_shape)).astype(np.uint8)
    assert np.mean(units.bits_per_dim(model.log_prob(noise), model.num_dims)) < 10
