"""The guard: NumPy, the graph and a plain reference agree; the false-alarm rate holds."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfp_ood.detectors import conformal
from tfp_ood.errors import EvaluationError, ExportError
from tfp_ood.export.guard_graph import verdict_tensors


def reference(held_out, value, rate):
    """By counting, in words of the definition."""
    not_likelier = sum(other <= value for other in held_out)
    not_unlikelier = sum(other >= value for other in held_out)
    p = min(1.0, 2 * min(1 + not_likelier, 1 + not_unlikelier) / (len(held_out) + 1))
    return stats.percentileofscore(held_out, value, "mean"), p, p <= rate + 1e-9


def calibrate(log_probs, rate):
    """The test of likelihood as a detector, whose score is -log p."""
    return conformal.calibrate(-np.asarray(log_probs), rate)


def in_numpy(calibration, log_probs):
    return conformal.verdicts(calibration, -np.asarray(log_probs, np.float64))


def in_a_graph(calibration, log_probs):
    scores = -tf.constant(log_probs, tf.float32)
    told = tf.function(lambda x: verdict_tensors(calibration, x))(scores)
    return {name: tensor.numpy() for name, tensor in told.items()}


# Whole numbers, so that neighbours are farther apart than what counts as a tie.
HELD_OUT = {
    "all different": -2000.0 - np.random.default_rng(0).permutation(199),
    "many ties": -1000.0 - np.random.default_rng(1).integers(0, 12, 99),
    "all the same": np.full(60, -1500.0),
    "both signs": np.arange(-40.0, 41.0),
}


@pytest.mark.parametrize("judge", [in_numpy, in_a_graph])
@pytest.mark.parametrize("name", HELD_OUT)
def test_agrees_with_counting(name, judge):
    held_out = HELD_OUT[name]
    low, high = held_out.min(), held_out.max()
    values = np.concatenate([np.arange(low - 2, high + 3), [low - 0.5, high + 0.5, 1e30, -1e30]])
    told = judge(calibrate(held_out, 0.1), values)
    expected = [reference(held_out, value, 0.1) for value in values]
    percentile, p, foreign = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_allclose(told["percentile"], percentile, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(told["typicality_p_value"], p, rtol=1e-6)
    np.testing.assert_array_equal(told["is_out_of_distribution"], foreign)
    assert [told[k].dtype for k in told] == [np.float32, np.float32, np.bool_]


def test_both_tails_and_the_middle():
    told = in_numpy(calibrate(np.arange(-1999.0, 0.0), 0.05), [-5000.0, -1000.0, 5000.0])
    assert told["is_out_of_distribution"].tolist() == [True, False, True]
    assert told["percentile"].tolist() == [0.0, 50.0, 100.0]
    np.testing.assert_allclose(told["typicality_p_value"], [0.001, 1.0, 0.001], rtol=1e-6)


@pytest.mark.parametrize("judge", [in_numpy, in_a_graph])
def test_equals_of_held_out_images_are_ties_whatever_the_rounding(judge):
    """The likeliest image is one of 30 that are alike: last digits do not make it too likely."""
    held_out = np.concatenate([np.linspace(-3000, -2000, 69), np.full(30, -1000.0)])
    calibration = calibrate(held_out, 0.05)
    steps = np.float32(-1000) + np.arange(-20, 21) * np.spacing(np.float32(1000))
    told = judge(calibration, steps)
    assert not np.any(told["is_out_of_distribution"])
    np.testing.assert_allclose(told["typicality_p_value"], 0.62)
    assert judge(calibration, [-999.0])["is_out_of_distribution"].all()


@pytest.mark.parametrize("judge", [in_numpy, in_a_graph])
def test_what_is_no_number_is_flagged(judge):
    told = judge(calibrate(np.arange(100.0), 0.05), [np.nan, -np.inf, np.inf])
    assert told["is_out_of_distribution"].all()
    assert told["percentile"].tolist() == [0.0, 0.0, 100.0]
    assert judge(calibrate(np.arange(100.0), 0.05), [])["percentile"].shape == (0,)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("count", [199, 250, 1000])
def test_the_false_alarm_rate_holds(rate, count):
    """Over draws of the held-out images; with a skewed distribution, and with many ties."""
    rng = np.random.default_rng(count)
    for round_to in (8, 0):
        shares = []
        for _ in range(400):
            draws = np.round(-1000.0 - 3 * rng.gamma(2.0, size=count + 200), round_to)
            calibration = calibrate(draws[:count], rate)
            told = in_numpy(calibration, draws[count:])
            shares.append(np.mean(told["is_out_of_distribution"]))
        error = np.std(shares) / np.sqrt(len(shares))
        assert np.mean(shares) <= rate + 3 * error
        if round_to:  # as many as are allowed; both tails take whole ranks
            expected = 2 * calibration.most_flagged / (count + 1)
            assert abs(np.mean(shares) - expected) < 4 * error


def test_a_rate_that_is_met_exactly_flags():
    """2 * 50 / 2000 is 0.05, which float32 does not have."""
    calibration = calibrate(np.arange(1999.0), 0.05)
    told = in_numpy(calibration, np.array([48.5, 49.5]))
    assert told["is_out_of_distribution"].tolist() == [True, False]


def test_too_few_held_out_images_are_refused():
    calibrate(np.arange(39.0), 0.05)
    with pytest.raises(ExportError, match=r"at least 0\.0513, .* at least 39 validation images"):
        calibrate(np.arange(38.0), 0.05)
    with pytest.raises(EvaluationError, match="not finite"):
        calibrate(np.array([np.nan] * 100), 0.05)
    with pytest.raises(EvaluationError, match="held-out"):
        calibrate(np.array([]), 0.05)


def test_one_end_alone_flags_the_same_share_there():
    held_out = np.random.default_rng(0).normal(-1000.0, 30.0, 999)
    calibration = calibrate(held_out, 0.05)
    values = np.random.default_rng(1).normal(-1000.0, 30.0, 20_000)
    flagged = conformal.too_high(calibration, -values)
    assert flagged.mean() == pytest.approx(0.05, abs=0.02)
    # The guard spends half of its rate on either end.
    two_sided = in_numpy(calibration, values)
    low = two_sided["is_out_of_distribution"] & (two_sided["percentile"] < 50)
    assert np.all(flagged[low]) and low.mean() == pytest.approx(0.025, abs=0.015)
    assert conformal.too_high(calibration, [np.nan, np.inf, -np.inf]).tolist() == [
        True,
        True,
        False,
    ]
