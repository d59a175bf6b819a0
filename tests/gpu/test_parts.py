"""Every check of `python -m tests.gpu` passes on a CPU, and can fail."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.gpu import agreement, families, fixed, machine, mirrored, placement, serving, training
from tests.gpu.placement import Node
from tests.gpu.table import Row, all_right, at_most, markdown


def wrong(rows):
    return [row.what for row in rows if row.ok is False]


@pytest.fixture(scope="module", name="models")
def _models():
    with contracts.eagerly():
        return {name: fixed.model(name) for name in fixed.MODELS}


@pytest.mark.parametrize("name", fixed.MODELS)
def test_fixed_models_have_the_committed_likelihoods(name, models):
    figures = json.loads(agreement.FIGURES.read_text())
    assert set(figures) == set(fixed.MODELS)
    with contracts.eagerly():
        rows = agreement.rows_of(name, models[name], figures)
    assert wrong(rows) == [] and len(rows) == (3 if name in ("glow", "real_nvp") else 1)


def test_other_figures_are_wrong():
    figures = [-5000.0, -4000.0]
    assert agreement.deviation([-5000.4, -4000.0], figures) < agreement.RELATIVE_LIMIT
    assert agreement.deviation([-5000.6, -4000.0], figures) > agreement.RELATIVE_LIMIT
    for found in ([-5000.0], [float("nan"), -4000.0], []):
        assert agreement.deviation(found, figures) == float("inf")
    assert at_most("part", "what", float("nan"), 1.0).ok is False


def test_what_does_not_invert_is_wrong(models):
    glow = models["glow"]
    flow = glow.distribution.bijector
    with contracts.eagerly():
        short = agreement.inversion_error(flow.bijector.forward, lambda z: flow.forward(z) + 0.1)
        assert short > agreement.PIXEL_LIMIT
        decode = glow._decode
        glow._decode = lambda latents: decode(latents + 0.5)
        try:
            assert agreement.num_changed(glow) > 0
        finally:
            glow._decode = decode


def test_products_that_are_rounded_as_tensorfloat_32_are_wrong(models):
    figures, real_nvp = json.loads(agreement.FIGURES.read_text()), models["real_nvp"]
    kept = [variable.numpy() for variable in real_nvp.trainable_variables]
    for variable, value in zip(real_nvp.trainable_variables, kept, strict=True):
        bits = (value.view(np.uint32) + np.uint32(2**12)) & np.uint32(2**32 - 2**13)
        variable.assign(bits.view(np.float32))
    try:
        with contracts.eagerly():
            differ = agreement.deviation(agreement.log_probs(real_nvp), figures["real_nvp"])
    finally:
        for variable, value in zip(real_nvp.trainable_variables, kept, strict=True):
            variable.assign(value)
    assert agreement.RELATIVE_LIMIT < differ < 0.1


def test_images_and_weights_never_change():
    """By NumPy's promise for `RandomState`; figures.json depends on it."""
    assert fixed.images()[0, 0, 0].tolist() == [171, 176, 167]
    assert int(fixed.images(3, (8, 8, 1), seed=1).sum()) == 19343


def test_training_on_a_cpu_passes():
    rows = training.prepare(True, False, "float32")()
    assert wrong(rows) == []
    told = {row.what: row.found for row in rows}
    assert told["device of the weights"] == "CPU"
    assert 0 < float(told["share of matrix products' speed"].rstrip("%")) < 100


def test_training_that_learns_nothing_is_wrong():
    for bits in ([5.0, 5.1], [5.0, float("nan")], [5.0]):
        assert training.learned("train", bits).ok is False
    assert training.learned("train", [5.0, 4.9]).ok


def test_weights_elsewhere_are_wrong(monkeypatch):
    variables = [types.SimpleNamespace(device="/job:localhost/replica:0/task:0/device:CPU:0")]
    model = types.SimpleNamespace(trainable_variables=variables)
    assert training.where("train", model).ok
    monkeypatch.setattr(machine, "kind", lambda: "GPU")
    assert training.where("train", model).ok is False


def test_steps_flops_are_counted_by_hand():
    """A level of a step: a squeeze to 12 channels, a network of 8 and a 1x1 of 12 x 12."""
    config = training.config_of(True, "float32")
    model = training.models.build(config)
    forward = 2 * 16 * (9 * 6 * 8 + 8 * 8 + 9 * 8 * 12)  # of an image of 4 x 4 pixels
    found = training.flops_of_step(model, 4)
    assert 2.5 * 4 * forward < found < 4 * 4 * forward  # gradients of weights and of inputs


def test_scores_and_samples_that_are_not_sound_are_wrong():
    assert families.sound_scores("vae", np.array([-2.0, -3.0])).ok
    for log_prob in ([-2.0, -2.0], [-2.0, float("nan")], [-2.0, -float("inf")]):
        assert families.sound_scores("vae", np.array(log_prob)).ok is False
    samples = fixed.images(3)
    assert families.sound_samples("vae", samples, samples).ok
    assert families.sound_samples("vae", samples, 255 - samples).ok is False
    assert families.sound_samples("vae", samples[[0, 0, 1]], samples[[0, 0, 1]]).ok is False


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (Node("Conv2DBackpropFilter", "CPU", True), "Conv2DBackpropFilter on the host"),
        (Node("ResourceApplyAdam", "CPU", True), "ResourceApplyAdam on the host"),
        (Node("Exp", "CPU", True), "Exp on the host"),
        (Node("_Send", "GPU", True, receiver="CPU"), "numbers sent to the host"),
        (Node("EagerPyFunc", "GPU", True), "EagerPyFunc calls back into Python"),
        (Node("_Send", "GPU", False, receiver="CPU"), None),  # a shape
        (Node("AddV2", "CPU", False), None),
        (Node("Const", "CPU", True), None),
    ],
    ids=lambda value: getattr(value, "op", ""),
)
def test_what_is_on_the_host_is_wrong(node, says):
    right = Node("_FusedConv2D", "GPU", True)
    assert placement.misplaced([right], "GPU") == []
    assert placement.misplaced([right, node], "GPU") == ([says] if says else [])
    row = placement.row("a step", [right, node, node], "GPU")
    assert row.ok is not bool(says)
    assert (row.found == f"{says} (2)") or not says


def test_nodes_are_those_that_ran():
    """A matrix product is seen, a call back into Python too, and their absence."""
    matrix = tf.ones([4, 4])
    product = tf.function(lambda: tf.matmul(matrix + 1.0, matrix))
    found = placement.nodes_of(product)
    assert any("MatMul" in node.op and node.device == "CPU" and node.is_float for node in found)
    assert placement.misplaced(found, "CPU") == []
    assert placement.misplaced(found, "GPU") != []
    backward = tf.function(lambda: tf.py_function(lambda a: a @ a, [matrix], tf.float32))
    nothing = "no convolution or matrix product seen"
    assert placement.misplaced(placement.nodes_of(backward), "CPU") == [
        nothing,
        "EagerPyFunc calls back into Python",
    ]


def told_of_images(**changes):
    count = 3
    told = {
        "gpus": np.array(0),
        "is_out_of_distribution": np.array([True, False, False]),
        "reasons": np.array(["log_prob", "", ""]),
        "p_value": np.array([0.01, 0.5, 0.9]),
        "log_prob": np.full([count], -5000.0),
    }
    return {**told, **changes}


@pytest.mark.parametrize(
    ("changes", "gpus", "what"),
    [
        ({}, 1, "GPUs of the serving process"),
        ({"is_out_of_distribution": np.array([True, True, False])}, 0, "verdicts that differ"),
        ({"reasons": np.array(["log_prob", "", "complexity"])}, 0, "reasons that differ"),
        ({"p_value": np.array([0.01, 0.55, 0.9])}, 0, "p-values, difference"),
        ({"log_prob": np.array([-5000.0, -5001.0, -5000.0])}, 0, "log_prob, relative difference"),
    ],
    ids=["gpus", "verdicts", "reasons", "p_values", "log_prob"],
)
def test_other_verdicts_are_wrong(changes, gpus, what):
    on_cpu = told_of_images()
    assert wrong(serving.rows_of(told_of_images(), on_cpu, 0)) == []
    (found,) = wrong(serving.rows_of(told_of_images(**changes), on_cpu, gpus))
    assert found.startswith(what)


def test_a_guard_that_flags_all_or_none_shows_nothing():
    for flags in (np.ones(3, bool), np.zeros(3, bool)):
        told = told_of_images(is_out_of_distribution=flags)
        assert wrong(serving.rows_of(told, told, 0)) == ["flagged images"]


def test_weights_of_two_devices_that_part_are_seen(monkeypatch):
    def of(*values):
        return types.SimpleNamespace(trainable_variables=[tf.Variable(v) for v in values])

    monkeypatch.setattr(fixed, "model", lambda name: of(1.0, 1.0))
    assert mirrored.moved_apart(of(2.0, 1.0), of(2.0, 1.0)) == 0.0
    assert mirrored.moved_apart(of(2.0, 1.0), of(1.99, 1.0)) == pytest.approx(0.01)
    assert mirrored.moved_apart(of(1.0, 1.0), of(1.0, 1.0)) == float("inf")  # trained nothing


def test_scores_of_two_devices_that_part_are_seen(monkeypatch):
    def score(images):
        return {"log_prob": tf.reduce_sum(tf.cast(images, tf.float32), [1, 2, 3])}

    model = types.SimpleNamespace(scoring_function=lambda: score)
    on = mirrored.strategy.connect(mirrored.CONFIG)
    assert mirrored.scores_apart(model, on) == 0.0

    def spread(on, score):
        return lambda images: {"log_prob": score(images)["log_prob"][::-1]}

    monkeypatch.setattr(mirrored.strategy, "spread", spread)
    assert mirrored.scores_apart(model, on) > mirrored.SCORE_LIMIT


def test_a_table_is_right_where_something_was_judged_and_nothing_is_wrong():
    told, right, bad = Row("a", "speed", "1"), Row("a", "b", "1", "1", True), Row("a|", "b", "2")
    assert all_right([told, right]) and not all_right([told])
    assert not all_right([right, Row("a", "b", "2", "1", False)])
    lines = markdown([told, right, bad]).splitlines()
    assert len({len(line) for line in lines}) == 1 and len({line.count("|") for line in lines}) == 1
