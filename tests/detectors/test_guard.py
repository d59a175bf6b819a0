"""The guard decides by the combined score, says why, and holds its rate."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.detectors.test_combined import First, Second, images
from tests.evaluation.fakes import table
from tfp_ood import detectors
from tfp_ood.detectors.combined import Combined
from tfp_ood.detectors.guard import guard
from tfp_ood.detectors.likelihood import Likelihood
from tfp_ood.errors import ExportError

RATE = 0.05


def make(held_out, rate=RATE):
    fit, calibrate = detectors.halves(held_out)
    members = (First(), Second())
    return guard(Combined(members).fit([fit]), Likelihood(), members, [calibrate], rate)


@pytest.fixture(scope="module", name="made")
def _made():
    return make(images(count=2000))


def test_it_flags_what_is_foreign_and_says_what_fired(made):
    told = made.judge([images(first=8.0, count=300)])
    assert np.all(told.flagged) and np.max(told.p_value) <= RATE
    assert np.all(told.fired["first"] == 1)
    assert np.mean(told.fired["second"] != 0) < 0.15
    assert list(told.fired) == ["first", "second", "log_prob"]
    assert told.share_flagged_interval[0] > 0.97
    np.testing.assert_array_equal(told.flagged, told.p_value <= np.float32(RATE))


def test_own_images_pass_but_for_the_false_alarms(made):
    told = made.judge([images(count=4000)])
    low, high = told.share_flagged_interval
    assert low - 0.01 <= RATE <= high + 0.01
    assert np.mean(told.beyond_likelihood) == pytest.approx(RATE, abs=0.02)


def test_only_tails_that_count_fire(made):
    told = made.judge([images(first=-8.0, count=50)])
    assert np.all(told.fired["first"] == 0)
    likelihood = made.judge([table_of([2.0, 3.0, 4.0])])
    assert likelihood.fired["log_prob"].tolist() == [-1, 0, 1]
    # A threshold on low likelihood lets pass what is likelier than all.
    assert likelihood.beyond_likelihood.tolist() == [False, False, True]


def table_of(bits):
    made = images(count=len(bits))
    given = table(bits)
    return type(made)(**{**vars(made), "log_prob": given.log_prob, "metadata": given.metadata})


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_the_false_alarm_rate_holds_over_halves(rate):
    """Of 20 random halves: within the binomial interval of the mean, calibration's luck and all."""
    held_out, own = images(count=1200), images(count=4000)
    shares = []
    for seed in range(20):
        fit, calibrate = detectors.halves(held_out, seed)
        members = (First(), Second())
        made = guard(Combined(members).fit([fit]), Likelihood(), members, [calibrate], rate)
        shares.append(np.mean(made.judge([own]).flagged))
    spread = math.sqrt(rate * (1 - rate) * (1 / 1200 + 1 / 4000))
    assert np.mean(shares) == pytest.approx(rate, abs=stats.norm.ppf(0.995) * spread)


def test_too_few_images_for_the_rate_are_refused():
    with pytest.raises(ExportError, match="would flag nothing"):
        make(images(count=30), 0.01)
