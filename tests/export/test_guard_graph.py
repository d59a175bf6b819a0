"""The guard in a graph and in NumPy are one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.guards import check, guard_of, verdicts
from tfp_ood.detectors import conformal
from tfp_ood.errors import ExportError
from tfp_ood.export.guard_graph import judgement_tensors, verdict_tensors

TAILS = ("high", "both")
HELD_OUT = {
    "all different": 2000.0 + np.random.default_rng(0).permutation(199),
    "many ties": 1000.0 + np.random.default_rng(1).integers(0, 12, 99),
    "all the same": np.full(60, 1500.0),
    "both signs": np.arange(-40.0, 41.0),
}


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("name", HELD_OUT)
def test_the_conformal_test_is_that_of_numpy(name, tails):
    held_out = HELD_OUT[name]
    calibration = conformal.calibrate(held_out, 0.1, tails)
    near = held_out[0] * (1 + np.linspace(-2, 2, 41) * conformal.TIE)
    further = [np.nan, np.inf, -np.inf, 1e30, -1e30]
    values = np.concatenate([np.arange(held_out.min() - 2, held_out.max() + 3), near, further])
    for count in (len(values), 0):
        told = tf.function(lambda x: verdict_tensors(calibration, x))(tf.constant(values[:count]))
        for key, expected in conformal.verdicts(calibration, values[:count]).items():
            assert told[key].dtype == expected.dtype
            # Graphs multiply by what NumPy divides by. Whole numbers decide.
            tolerance = 0.0 if expected.dtype == bool else 1e-6
            np.testing.assert_allclose(told[key], expected, tolerance, err_msg=key)


def columns(count, seed):
    """Those of a flow: of an image's likelihood, its latents and its size."""
    rng = np.random.default_rng(seed)
    tests = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")
    latent, log_det = rng.normal(-1100, 30, count), rng.normal(-1500, 60, count)
    return {
        "log_prob": latent + log_det,
        "log_prob_latent": latent,
        "log_det": log_det,
        "mean_square.level_1": rng.normal(1, 0.1, count),
        **{f"{test}.level_1": rng.gamma(2, size=count) for test in tests},
        "code_bits": rng.integers(300, 500, count).astype(float),
    }


@pytest.fixture(scope="module", name="guard")
def _guard():
    return guard_of(columns(400, 0), 0.05)


def in_a_graph(guard, given):
    given = {name: tf.constant(values) for name, values in given.items()}
    return tf.function(lambda x: judgement_tensors(guard, x))(given)


def test_all_detectors_are_those_of_numpy(guard):
    given = columns(300, 1)
    for name in given:  # far out too, on either side
        given[name][:20] *= np.linspace(0.2, 4.0, 20)
    told = in_a_graph(guard, given)
    expected = verdicts(guard, given)
    check(told, expected, 1e-6)
    assert {"complexity", "log_prob"} < set(guard.reasons)
    both = [words for words in expected["reasons"] if "; too " in words]
    assert any("too likely" in words for words in both)
    assert any("too unlikely" in words for words in both)
    assert "" in expected["reasons"]
    assert any("unusual input complexity; " in words for words in both)


def test_no_images_have_no_verdicts(guard):
    told = in_a_graph(guard, columns(0, 1))
    assert {tuple(values.shape) for values in told.values()} == {(0,)}


def test_what_is_not_there_is_named(guard):
    given = columns(5, 1)
    del given["code_bits"]
    with pytest.raises(ExportError, match="its detector combined needs code_bits, which the"):
        in_a_graph(guard, given)
