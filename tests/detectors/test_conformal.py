"""The conformal test: NumPy and a plain reference agree; the false-alarm rate holds."""

import numpy as np
import pytest
from scipy import stats

from tfp_ood.detectors.conformal import calibrate, limits, measured, verdicts
from tfp_ood.errors import EvaluationError, ExportError

TAILS = ("high", "both")


def reference(held_out, value, rate, tails):
    """By counting, in words of the definition."""
    rank = 1 + sum(other >= value for other in held_out)
    if tails == "both":
        rank = 2 * min(rank, 1 + sum(other <= value for other in held_out))
    p = min(1.0, rank / (len(held_out) + 1))
    return stats.percentileofscore(held_out, value, "mean"), p, p <= rate + 1e-9


# Whole numbers, so that neighbours are farther apart than what counts as a tie.
HELD_OUT = {
    "all different": -2000.0 - np.random.default_rng(0).permutation(199),
    "many ties": -1000.0 - np.random.default_rng(1).integers(0, 12, 99),
    "all the same": np.full(60, -1500.0),
    "both signs": np.arange(-40.0, 41.0),
}


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("name", HELD_OUT)
def test_agrees_with_counting(name, tails):
    held_out = HELD_OUT[name]
    low, high = held_out.min(), held_out.max()
    values = np.concatenate([np.arange(low - 2, high + 3), [low - 0.5, high + 0.5, 1e30, -1e30]])
    told = verdicts(calibrate(held_out, 0.1, tails), values)
    expected = [reference(held_out, value, 0.1, tails) for value in values]
    percentile, p, foreign = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_allclose(told["percentile"], percentile, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(told["p_value"], p, rtol=1e-6)
    np.testing.assert_array_equal(told["is_out_of_distribution"], foreign)
    assert [told[k].dtype for k in told] == [np.float32, np.float32, np.bool_]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("name", HELD_OUT)
def test_flagged_is_what_lies_above_the_threshold(name, rate):
    calibration = calibrate(HELD_OUT[name], rate)
    low, high = HELD_OUT[name].min(), HELD_OUT[name].max()
    ends = calibration.threshold * np.array([1 - 1e-9, 1 + 1e-9])
    values = np.concatenate([np.linspace(low - 2, high + 3, 999), HELD_OUT[name], ends])
    told = verdicts(calibration, values)["is_out_of_distribution"]
    np.testing.assert_array_equal(told, values > calibration.threshold)
    assert told.any() and not told.all()


def test_where_nothing_is_flagged_the_threshold_is_infinite():
    assert measured(np.arange(5.0), 0.1).threshold == np.inf


@pytest.mark.parametrize(("tails", "low"), [("high", False), ("both", True)])
def test_which_tails_are_flagged(tails, low):
    told = verdicts(calibrate(np.arange(1999.0), 0.05, tails), [-5000.0, 999.0, 5000.0])
    assert told["is_out_of_distribution"].tolist() == [low, False, True]
    assert told["percentile"].tolist() == [0.0, 50.0, 100.0]
    expected = [0.001, 1.0, 0.001] if low else [1.0, 0.5, 0.0005]
    np.testing.assert_allclose(told["p_value"], expected, rtol=2e-3)


@pytest.mark.parametrize("tails", TAILS)
def test_equals_of_held_out_images_are_ties_whatever_the_rounding(tails):
    """The highest score is that of 30 images that are alike: last digits do not make it higher."""
    held_out = np.concatenate([np.linspace(-3000, -2000, 69), np.full(30, -1000.0)])
    calibration = calibrate(held_out, 0.05, tails)
    steps = np.float32(-1000) + np.arange(-20, 21) * np.spacing(np.float32(1000))
    told = verdicts(calibration, steps)
    assert not np.any(told["is_out_of_distribution"])
    np.testing.assert_allclose(told["p_value"], 0.62 if tails == "both" else 0.31)
    assert verdicts(calibration, [-999.0])["is_out_of_distribution"].all()


@pytest.mark.parametrize("tails", TAILS)
def test_what_is_no_number_is_flagged(tails):
    told = verdicts(calibrate(np.arange(100.0), 0.05, tails), [np.nan, np.inf, -np.inf])
    assert told["is_out_of_distribution"].tolist() == [True, True, tails == "both"]
    assert told["percentile"].tolist() == [100.0, 100.0, 0.0]
    assert verdicts(calibrate(np.arange(100.0), 0.05), [])["percentile"].shape == (0,)


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("count", [199, 250, 1000])
def test_the_false_alarm_rate_holds(rate, count, tails):
    """Over draws of the held-out images; with a skewed distribution, and with many ties."""
    rng = np.random.default_rng(count)
    for round_to in (8, 0):
        shares = []
        for _ in range(300):
            draws = np.round(1000.0 + 3 * rng.gamma(2.0, size=count + 200), round_to)
            calibration = calibrate(draws[:count], rate, tails)
            told = verdicts(calibration, draws[count:])
            shares.append(np.mean(told["is_out_of_distribution"]))
        error = np.std(shares) / np.sqrt(len(shares))
        assert np.mean(shares) <= rate + 3 * error
        if round_to:  # as many as are allowed; both tails take whole ranks
            expected = calibration.num_tails * calibration.most_flagged / (count + 1)
            assert abs(np.mean(shares) - expected) < 4 * error


def test_a_rate_that_is_met_exactly_flags():
    """50 / 1000, which is 0.05, is not in binary."""
    told = verdicts(calibrate(np.arange(999.0), 0.05), np.array([948.5, 949.5]))
    assert told["is_out_of_distribution"].tolist() == [False, True]
    told = verdicts(calibrate(np.arange(1999.0), 0.05, "both"), np.array([48.5, 49.5]))
    assert told["is_out_of_distribution"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("tails", "fewest", "lowest"), [("high", 19, 0.0527), ("both", 39, 0.0513)]
)
def test_too_few_held_out_images_are_refused(tails, fewest, lowest):
    calibrate(np.arange(float(fewest)), 0.05, tails)
    said = rf"at least {lowest}, .* at least {2 * fewest - 1} validation images"
    with pytest.raises(ExportError, match=said):
        calibrate(np.arange(fewest - 1.0), 0.05, tails)


@pytest.mark.parametrize("tails", ["high", "both"])
def test_the_advice_can_be_followed(tails):
    """The rate that is said to be valid is, to the last digit, and so is the number of images."""
    for count in (1, 2, 3, 6, 12, 15, 18, 99, 998):
        lowest, fewest = limits(count, 0.05, tails)
        if lowest <= 0.5:
            assert calibrate(np.arange(float(count)), lowest, tails).most_flagged >= 1
            with pytest.raises(ExportError):
                calibrate(np.arange(float(count)), 0.99 * lowest, tails)
        calibrate(np.arange(float(fewest)), 0.05, tails)
        with pytest.raises(ExportError):
            calibrate(np.arange(float(fewest - 1)), 0.05, tails)


def test_bad_held_out_scores_are_refused():
    with pytest.raises(EvaluationError, match="not finite"):
        calibrate(np.array([np.nan] * 100), 0.05)
    with pytest.raises(EvaluationError, match="held-out"):
        calibrate(np.array([]), 0.05)
