"""What every family of models promises (`LikelihoodModel`): one test for each clause."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats
from sklearn import mixture

from tests import contracts
from tests.contracts import CASES
from tfp_ood import units
from tfp_ood.config import MODEL_CONFIGS
from tfp_ood.families import FlowConfig
from tfp_ood.keras import keras
from tfp_ood.models import UninitializedError, base, dequantize, gradients
from tfp_ood.models.flows.flow import FlowModel
from tfp_ood.models.pixel_cnn import build as pixel_cnn
from tfp_ood.training import fused
from tfp_ood.training.weights import read_weights, write_weights


def each(names, slow=()):
    """Cases as parameters, some of them `slow`."""
    return [
        pytest.param(name, marks=pytest.mark.slow) if name in slow else pytest.param(name)
        for name in names
    ]


# Cases of a family beyond its first are `slow`, but for those whose variables or conditionals are
# of another kind; what takes long is `slow` for these too.
FIRST = {case.family: name for name, case in reversed(CASES.items())}.values()
FURTHER = set(CASES) - set(FIRST)
OF_ITS_OWN = {"real_nvp_batch_norm", "glow_class_conditional"}
RARE = FURTHER - OF_ITS_OWN - {"pixel_cnn_color"}
FLOWS = [n for n, case in CASES.items() if issubclass(MODEL_CONFIGS[case.family], FlowConfig)]
PIXEL_CNNS = [name for name, case in CASES.items() if case.family == "pixel_cnn"]
VAES = [name for name, case in CASES.items() if case.family == "vae"]

ALL_CASES = pytest.mark.parametrize("name", each(CASES, slow=RARE))


@pytest.fixture(name="trained")
def _trained(name):
    """(case, trained model), for clauses of all families."""
    return CASES[name], contracts.shared(name)


def test_every_family_is_held_to_the_contract():
    assert {case.family for case in CASES.values()} == set(MODEL_CONFIGS)


@pytest.mark.parametrize("name", FIRST)
def test_models_compute_float32_in_float32(name):
    """Not in TensorFloat-32, which is TensorFlow's default on GPUs that have it."""
    tf.config.experimental.enable_tensor_float_32_execution(True)
    contracts.build(CASES[name])
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.parametrize("count", [1, 2, 7])
@ALL_CASES
def test_log_prob_is_float32_of_shape_b_and_finite(trained, count):
    case, model = trained
    statistics = model.statistics(contracts.random_images(case, count))
    assert "log_prob" in statistics
    for values in statistics.values():
        assert values.dtype == tf.float32 and values.shape == [count]
        assert np.all(np.isfinite(values))
    assert np.all(statistics["log_prob"] < 0)  # of a discrete image


@ALL_CASES
def test_any_image_has_finite_statistics(trained):
    """Black, white, half of each, a chessboard and noise."""
    case, model = trained
    rows, columns = np.indices(case.image_shape[:2])[..., np.newaxis]
    patterns = [0 * rows, 0 * rows + 1, rows >= rows.max() / 2, (rows + columns) % 2]
    noise = np.random.default_rng(0).integers(0, 256, case.image_shape)
    ones = np.ones(case.image_shape, np.int64)
    images = np.stack([*(255 * pattern * ones for pattern in patterns), noise])
    for name, values in model.statistics(images.astype(np.uint8)).items():
        assert np.all(np.isfinite(values)), name


@ALL_CASES
def test_kind_is_told(trained):
    """An exact likelihood does not depend on the number of noise draws; a bound does."""
    case, model = trained
    images = contracts.random_images(case, 4)
    one, two = (model.log_prob(images, num_draws).numpy() for num_draws in (1, 2))
    assert model.log_prob_kind == ("exact" if np.array_equal(one, two) else "bound")


@ALL_CASES
def test_likelihood_does_not_depend_on_the_batch(trained):
    case, model = trained
    images = contracts.random_images(case, 9, seed=1)
    order = np.random.default_rng(0).permutation(9)
    parts = [slice(0, 1), slice(2, 4), slice(4, 9), slice(8, 3, -1), order]
    for num_draws in (1, 2):
        whole = model.statistics(images, num_draws)
        for part in parts:
            for name, values in model.statistics(images[part], num_draws).items():
                # Differences of large numbers, such as the terms, have the error of those.
                slack = 0.0 if name == "log_prob" else 1e-3
                expected = whole[name].numpy()[part]
                np.testing.assert_allclose(values, expected, rtol=1e-5, atol=slack, err_msg=name)


@ALL_CASES
def test_gradients_of_every_trainable_variable_are_finite(name):
    case = CASES[name]
    model = contracts.initialized(case)
    model.compile(optimizer="adam")
    labels = tf.range(8, dtype=tf.int64) % 3
    with tf.GradientTape() as tape:
        images = tf.constant(contracts.random_images(case, 8))
        loss = tf.reduce_mean(model._training_log_prob(images, labels, tf.constant([0, 1])))
    assert model.trainable_variables
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.all(np.isfinite(tf.convert_to_tensor(gradient))), variable.name


FEWER = {"real_nvp": {"num_levels": 1}, "pixel_cnn": {"num_hierarchies": 1}}
"""What has the layers of a family's first case, fewer of them twice."""


@pytest.mark.parametrize(
    ("name", "fewer"),
    [
        *((name, FEWER.get(name, {})) for name in FIRST),
        *(
            pytest.param(name, {}, marks=pytest.mark.slow)
            for name in CASES
            if name in FURTHER or name in FEWER
        ),
    ],
)
def test_gradients_of_each_image_are_those_of_its_row_of_the_jacobian(name, fewer):
    whole = CASES[name]
    case = dataclasses.replace(whole, options={**whole.options, **fewer})
    model = contracts.initialized(case)
    # Fresh models end in zeros, behind which all gradients are.
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(scale=0.02, size=variable.shape))
    images = tf.constant(contracts.random_images(case, 3))
    found = {name: values.numpy() for name, values in model.gradient_statistics(images).items()}
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        pixels, log_prob = model._differentiable(images[:2])
        row = log_prob[1]
    assert pixels.shape == images[:2].shape
    np.testing.assert_allclose(log_prob, model.log_prob(images[:2]), rtol=1e-5)
    for i, gradient in enumerate(tape.gradient(row, variables)):
        name = f"log_gradient.{gradients.names(model)[i]}"
        expected = np.log(np.sum(np.square(gradient)) + 1e-30)
        np.testing.assert_allclose(found[name][1], expected, 0.0, 2e-3, err_msg=name)
    # A function of the image alone, float32 of shape [B] and finite.
    alone = model.gradient_statistics(images[2:])
    for name, values in found.items():
        assert values.dtype == np.float32 and np.all(np.isfinite(values))
        np.testing.assert_allclose(values[2:], alone[name], 1e-3, 1e-3, err_msg=name)
    assert len(found) == 1 + len(variables) and "log_gradient_norm.input" in found


@ALL_CASES
def test_gradients_are_called_the_same_in_every_model_of_a_config(name, trained):
    """Whatever was made before in this process, trained or not."""
    _, model = trained
    found = gradients.names(model)
    assert found == gradients.names(contracts.shared(name, "fresh"))
    for one, variable in zip(found, model.trainable_variables, strict=True):
        own = variable.name.split("/")[-1].split(":")[0]
        assert re.fullmatch(rf"\d{{3}}_([a-z_]+/)*({own}|\w*mixture\w*)", one), one


@ALL_CASES
def test_fit_lowers_the_loss_and_reaches_every_weight(name, trained):
    case, model = trained
    images, start = contracts.random_images(case), contracts.shared(name, "initialized")
    assert np.mean(model.log_prob(images)) > np.mean(start(images))
    pairs = zip(start.trainable_variables, model.trainable_variables, strict=True)
    for old, variable in pairs:
        assert np.any(old.numpy() != variable.numpy()), variable.name


@pytest.mark.parametrize("name", each(FLOWS + PIXEL_CNNS, slow=RARE))
def test_fresh_initialised_model_starts_below_9_bits_per_dim(name):
    model = contracts.shared(name, "initialized")
    log_prob = model(contracts.random_images(CASES[name], seed=3))  # as Keras calls it
    assert np.mean(units.bits_per_dim(log_prob, model.num_dims)) < 9


@ALL_CASES
def test_uninitialised_model_refuses(name):
    model = contracts.shared(name, "fresh")
    for call in (
        lambda: model.log_prob(contracts.random_images(CASES[name], 1)),
        lambda: model.sample(1),
        lambda: model.gradient_statistics(contracts.random_images(CASES[name], 1)),
    ):
        with pytest.raises(UninitializedError, match="initialize"):
            call()


@ALL_CASES
def test_samples_are_uint8_images_that_the_seed_decides(trained):
    case, model = trained
    images = model.sample(3, seed=1)
    assert images.dtype == tf.uint8 and images.shape == [3, *case.image_shape]
    np.testing.assert_array_equal(images, model.sample(3, seed=1))
    assert np.any(images != model.sample(3, seed=2))
    assert np.all(np.isfinite(model.log_prob(images)))


@ALL_CASES
def test_many_samples_are_drawn_in_parts_that_differ(trained, monkeypatch):
    _, model = trained
    monkeypatch.setattr(base, "_MOST_DRAWN", 2)
    images = model.sample(5, seed=1)
    assert images.shape[0] == 5
    np.testing.assert_array_equal(images[:2], model.sample(2, seed=1))
    assert np.any(images[:2] != images[2:4])
    np.testing.assert_array_equal(images[:4], model.sample(4, seed=1))


@pytest.mark.parametrize("name", each(CASES, slow=FURTHER - OF_ITS_OWN))
def test_save_and_reload_gives_equal_likelihoods_and_samples(trained, tmp_path):
    case, model = trained
    other = reloaded(model, case, tmp_path)
    images = contracts.random_images(case, 5)
    with contracts.eagerly():
        np.testing.assert_array_equal(model.log_prob(images), other.log_prob(images))
        np.testing.assert_array_equal(model.sample(2), other.sample(2))


def reloaded(model, case, path, **how):
    """A new model with a model's saved weights."""
    write_weights(model, path / "weights")
    other = contracts.build(case, **how)
    read_weights(other, path / "weights")
    return other


def exported(model, function, signature, path):
    """A function of a model, saved as a SavedModel without the model's class, and loaded."""
    module = tf.Module()
    module.variables_of_model = model.variables
    module.function = tf.function(function, input_signature=signature, autograph=False)
    graph = module.function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    # These run in the process that made them and nowhere else.
    assert not {node.op for node in nodes} & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
    tf.saved_model.save(module, str(path))
    loaded = tf.saved_model.load(str(path))
    # Kept with the function, which holds its variables weakly.
    return lambda *args, _module=loaded: _module.function(*args)


@pytest.mark.parametrize("name", each(CASES, slow=FURTHER))  # the last: export/test_saved_model.py
def test_exported_likelihoods_are_those_of_the_model(trained, tmp_path):
    case, model = trained
    signature = [tf.TensorSpec([None, *case.image_shape], tf.uint8)]
    log_prob = exported(model, lambda images: model._scores(images, 2), signature, tmp_path)
    for count in (1, 5):
        images = contracts.random_images(case, count)
        expected = model.statistics(images, 2)
        for name, values in log_prob(images).items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", each(CASES, slow=FURTHER))
def test_mixed_bfloat16_agrees_with_float32(trained, tmp_path):
    """With the same trained weights, for every image; likelihoods and variables stay float32."""
    case, model = trained
    other = reloaded(model, case, tmp_path, precision="mixed_bfloat16")
    assert {v.dtype for v in other.trainable_variables} == {tf.float32}
    images = contracts.random_images(case, 16, seed=4)
    with contracts.eagerly():
        ours, theirs = model.statistics(images), other.statistics(images)
    assert {values.dtype for values in theirs.values()} == {tf.float32}
    for name in {"log_prob", "log_det"} & set(ours):
        difference = units.bits_per_dim(theirs[name] - ours[name], model.num_dims)
        assert 0 < np.max(np.abs(difference)) < case.bfloat16_tolerance, name


def mass_by_importance_sampling(model):
    """The sum of p(x) over all images, by draws from a wide mixture of Gaussians around samples.

    Half of the draws are uniform, so that mass which no sample reaches counts as well.
    """
    num_dims, count = model.num_dims, 10_000
    # At once, as the parts of `sample` would take longer.
    drawn = model.sampling_function()(tf.constant(4000), tf.constant([1, 0]), tf.constant(1.0))
    pixels = drawn.numpy().reshape(-1, num_dims)
    proposal = mixture.GaussianMixture(4, reg_covar=1.0, random_state=0).fit(pixels)
    wide = 1.5 * np.linalg.cholesky(proposal.covariances_)
    rng = np.random.default_rng(0)
    chosen = rng.choice(4, size=count, p=proposal.weights_)
    noise = np.einsum("nij,nj->ni", wide[chosen], rng.normal(size=(count, num_dims)))
    uniform = rng.integers(0, 256, (count, num_dims))
    points = np.concatenate([np.floor(proposal.means_[chosen] + noise), uniform])
    inside = np.all((points >= 0) & (points < 256), axis=1)
    images = points[inside].astype(np.uint8)
    # A Gaussian's mass of an image is its density in the middle: it is flat over one value.
    components = [
        stats.multivariate_normal(mean, factor @ factor.T).logpdf(images + 0.5)
        for mean, factor in zip(proposal.means_, wide, strict=True)
    ]
    around = special.logsumexp(components, axis=0, b=proposal.weights_[:, None])
    proposed = np.logaddexp(around, -num_dims * np.log(256)) - np.log(2)
    log_prob = np.float64(model.log_prob(images.reshape(-1, *model.image_shape), 4))
    return np.sum(np.exp(log_prob - proposed)) / (2 * count)


# Of this size, `glow_color` is `glow`.
@pytest.mark.parametrize(
    "name", each(sorted({*FLOWS} - {"glow_color"}), slow=RARE | {"real_nvp_batch_norm"})
)
def test_mass_of_all_images_is_one_for_flows(name):
    """Of 2x2 pixels."""
    case = CASES[name]
    tiny = contracts.Case(case.family, {**case.options, "num_levels": 1}, (2, 2, 1))
    # By then hardly any mass is beyond black and white; after 30 steps a tenth of this one's is.
    steps = 60 if name == "real_nvp_batch_norm" else 30
    mass = mass_by_importance_sampling(contracts.trained(tiny, steps=steps))
    assert mass == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("name", each(PIXEL_CNNS, slow=RARE | {"pixel_cnn"}))
def test_mass_of_all_colours_of_a_pixel_is_one(name):
    """Each channel's distribution may look at the channels before it, and at no others."""
    case = CASES[name]
    one = contracts.Case(case.family, {**case.options, "num_hierarchies": 1}, (1, 1, 3))
    # A few steps: a softmax that is trained for longer has peaks that few draws meet.
    mass = mass_by_importance_sampling(contracts.trained(one, steps=5))
    assert mass == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", each(FLOWS, slow=RARE))
def test_flows_invert(trained):
    case, model = trained
    assert isinstance(model, FlowModel)
    pixels = tf.cast(contracts.random_images(case, 4), tf.float32) + 0.5
    latents = model.distribution.bijector.inverse(pixels)
    assert latents.shape == [4, model.num_dims]
    np.testing.assert_allclose(
        model.distribution.bijector.forward(tf.identity(latents)), pixels, atol=1e-2
    )


@ALL_CASES
def test_a_config_says_whether_its_models_have_latents_and_reconstruct(trained):
    case, model = trained
    config = MODEL_CONFIGS[case.family]
    assert hasattr(model, "reconstruct") == config.reconstructs
    assert hasattr(model, "encode") == hasattr(model, "decode") == config.has_latents


@pytest.mark.parametrize("name", each(FLOWS, slow=RARE))
def test_flows_decode_what_they_encoded(trained):
    case, model = trained
    images = contracts.random_images(case, 3)
    np.testing.assert_array_equal(model.decode(model.encode(images)), images)


@ALL_CASES
def test_the_terms_add_up_to_log_prob(trained):
    case, model = trained
    statistics = model.statistics(contracts.random_images(case, 6))
    assert "log_prob" not in model.terms and set(model.terms) <= set(statistics)
    if model.terms:
        total = sum(statistics[name] for name in model.terms)
        np.testing.assert_allclose(total, statistics["log_prob"], rtol=1e-5)
    assert model.terms == (("log_prob_latent", "log_det") if isinstance(model, FlowModel) else ())


@pytest.mark.parametrize("name", each(FLOWS, slow=RARE))
def test_flows_tell_their_two_terms(trained):
    case, model = trained
    of_classes = {"predicted_class", "class_probability", "class_entropy"}
    for num_draws in (1, 2):
        statistics = model.statistics(contracts.random_images(case, 10), num_draws)
        terms = {"log_prob", "log_prob_latent", "log_det"}
        of_levels = {name for name in statistics if ".level_" in name}
        further = of_classes if "num_classes" in case.options else set()
        assert set(statistics) - of_levels == terms | further
        assert {(v.dtype, len(v)) for v in statistics.values()} == {(tf.float32, 10)}
        total = statistics["log_prob_latent"] + statistics["log_det"]
        np.testing.assert_allclose(total, statistics["log_prob"], rtol=1e-5)
        levels = [v for n, v in statistics.items() if n.startswith("log_prob_latent.level_")]
        assert len(levels) == case.options["num_levels"]
        if "num_classes" not in case.options:
            np.testing.assert_allclose(sum(levels), statistics["log_prob_latent"], rtol=1e-5)
    log_det = model.statistics(contracts.random_images(case, 10))["log_det"]
    if case.options.get("coupling") == "additive":
        np.testing.assert_allclose(log_det, log_det[0], rtol=1e-5)
    else:
        assert np.ptp(log_det) > 0.1


def averaged(case):
    """A model whose weights are the moving average over a training, as evaluation uses them."""
    model = contracts.initialized(case)
    model.compile(optimizer=fused.Adam(5e-3, use_ema=True, ema_momentum=0.5, jit_compile=False))
    model.fit(contracts.batches(case), epochs=1, steps_per_epoch=4, verbose=0)
    return model


FAST_IN = {"averaged": "pixel_cnn_categorical", "exported": "pixel_cnn_color"}
STATES = ["fresh", "initialized", "trained", "reloaded", "exported", "averaged"]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        pytest.param(*one.values, state, marks=one.marks)
        for state in STATES
        for one in each(
            PIXEL_CNNS, slow={*PIXEL_CNNS} - {FAST_IN[state]} if state in FAST_IN else RARE
        )
    ],
)
def test_pixel_cnns_are_causal(name, state, tmp_path):
    """No gradient of a pixel's log-likelihood reaches the inputs of itself or of later pixels, but
    for the first colours of its own where masks between them are in the network."""
    case = CASES[name]
    model = {
        "averaged": lambda: averaged(case),
        "reloaded": lambda: reloaded(contracts.shared(name), case, tmp_path),
        "exported": lambda: contracts.shared(name),
    }.get(state, lambda: contracts.shared(name, state))()
    # As many copies of an image as it has pixels: of copy i, pixel i's likelihood is derived, which
    # makes one pass of the whole Jacobian.
    images = tf.repeat(tf.constant(contracts.random_images(case, 1)), 64, axis=0)
    inputs = pixel_cnn.network_inputs(images)
    function = model._pixel_log_probs
    if state == "exported":
        signature = [tf.TensorSpec(x.shape, x.dtype) for x in (inputs, images)]
        function = exported(model, function, signature, tmp_path)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        log_probs = tf.linalg.diag_part(tf.reshape(function(inputs, images), [64, 64]))
    influence = np.abs(tape.gradient(log_probs, inputs)).reshape(64, 64, -1)
    by_pixel, own = influence.sum(axis=2), np.diagonal(influence)
    assert not np.any(np.triu(by_pixel, 1)), "a pixel sees later ones"
    num_seen = case.image_shape[2] - 1 if case.options.get("output") == "categorical" else 0
    assert not np.any(own[num_seen:]), "a pixel sees itself"
    if state != "fresh":
        assert np.any(np.tril(by_pixel, -1)), "no pixel sees any other"
        assert np.all(np.any(own[:num_seen] > 0, axis=1)), "no colour sees any before"


@pytest.mark.parametrize("name", each(PIXEL_CNNS, slow=RARE))
def test_pixel_cnns_last_pixel_changes_no_other_pixels_likelihood(trained):
    """By whole likelihoods, where the gradient test looks at the network's inputs only."""
    case, model = trained
    images = np.repeat(contracts.random_images(case, 1), 64, axis=0)
    rng = np.random.default_rng(0)
    images[:, -1, -1] = rng.integers(0, 256, (64, images.shape[-1]))
    inputs = pixel_cnn.network_inputs(tf.constant(images))
    by_pixel = np.float64(model._pixel_log_probs(inputs, tf.constant(images))).reshape(64, -1)
    np.testing.assert_allclose(by_pixel[:, :-1], by_pixel[:1, :-1].repeat(64, 0), rtol=1e-5)
    assert np.ptp(by_pixel[:, -1]) > 0.1


@pytest.mark.parametrize("name", each(VAES, slow=RARE))
def test_vae_bounds_are_ordered(trained):
    """ELBO <= IWAE on the same draws, and IWAE does not fall with K in expectation."""
    case, model = trained
    images = contracts.random_images(case, 200, seed=5)
    bounds = []
    for num_draws in (1, 5, 25):
        statistics = model.statistics(images, num_draws)
        assert {"log_prob", "elbo", "kl", "reconstruction"} < set(statistics)
        assert {(v.dtype, len(v)) for v in statistics.values()} == {(tf.float32, 200)}
        assert all(np.all(np.isfinite(v)) for v in statistics.values())
        # Jensen, over the same draws; the tolerance is float32's at some hundred nats.
        assert np.all(statistics["elbo"] <= statistics["log_prob"] + 1e-3)
        if num_draws == 1:
            np.testing.assert_allclose(statistics["log_prob"], statistics["elbo"], rtol=1e-6)
        bounds.append(np.mean(statistics["log_prob"]))
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("name", each(VAES, slow=RARE))
def test_vae_averages_its_draws(name, monkeypatch):
    """Equal draws, however many, make the ELBO: their mean is taken, not their sum."""
    draw_normal = dequantize.content_normal
    monkeypatch.setattr(
        dequantize,
        "content_normal",
        lambda images, size, draw, seed: draw_normal(images, size, tf.constant(0), seed),
    )
    model = contracts.initialized(CASES[name])
    statistics = model.statistics(contracts.random_images(CASES[name], 5), 7)
    np.testing.assert_allclose(statistics["log_prob"], statistics["elbo"], rtol=1e-5)


def two_devices():
    """`MirroredStrategy` over two logical CPUs (see conftest)."""
    # Not by collective operations, whose keys clash between the strategies of one process.
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def fit_on(strategy, case):
    """A model under a strategy, after one step of plain gradient descent."""
    with strategy.scope():
        model = contracts.initialized(case)
        model.compile(optimizer=keras.optimizers.SGD(1e-3))
    fit_on_batches(model, case, epochs=1, steps=1)
    return model


def fit_on_batches(model, case, epochs, steps):
    """Trains; returns the bits/dim of every epoch."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = contracts.batches(case).with_options(options)
    history = model.fit(data, epochs=epochs, steps_per_epoch=steps, verbose=0)
    return history.history["bits_per_dim"]


# Of the Glows the one with the fewest layers; a PixelCNN and a RealNVP take long.
ON_TWO = {"vae", "glow_class_conditional"}


@pytest.mark.parametrize("name", each(CASES, slow=set(CASES) - ON_TWO))
def test_trains_on_two_devices(name):
    """A step is as long as on one; the copies learn, agree in all that they hold, and draw noise of
    their own.

    By plain gradient descent, which does not forgive a loss that is summed over replicas.
    """
    case, strategy = CASES[name], two_devices()
    start = contracts.shared(name, "initialized")
    with contracts.eagerly():
        alone = fit_on(tf.distribute.get_strategy(), case)
    model = fit_on(strategy, case)
    assert distance(start, model) == pytest.approx(distance(start, alone), rel=0.1)
    bits = fit_on_batches(model, case, epochs=3, steps=2)
    assert bits[-1] < bits[0]
    for variable in model.variables:
        copies = [np.asarray(copy) for copy in strategy.experimental_local_results(variable)]
        assert len(copies) == 2
        if variable.synchronization == tf.VariableSynchronization.ON_READ:
            # Moving averages are averaged, the metric's totals summed.
            is_mean = variable.aggregation == tf.VariableAggregation.MEAN
            expected = np.mean(copies, axis=0) if is_mean else np.sum(copies, axis=0)
            np.testing.assert_allclose(variable.read_value(), expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(*copies, err_msg=variable.name)
    seeds = strategy.experimental_local_results(strategy.run(model._step_seed))
    assert not np.array_equal(*seeds)


def distance(one, other):
    """Between the weights of two models."""
    pairs = zip(one.trainable_variables, other.trainable_variables, strict=True)
    return np.sqrt(sum(np.sum(np.square(b.numpy() - a.numpy())) for a, b in pairs))
