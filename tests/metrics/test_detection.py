"""The metrics against their definitions, written out by brute force."""

import numpy as np
import pytest
from scipy import stats

from tfp_ood.errors import EvaluationError
from tfp_ood.metrics.detection import detection_metrics, roc, share_interval


def auroc(own, foreign):
    """The share of pairs in order, ties half."""
    pairs = [(f > o) + 0.5 * (f == o) for f in foreign for o in own]
    return np.mean(pairs)


def average_precision(positive, negative):
    """Sum over thresholds of precision times the gain in recall."""
    total, recall = 0.0, 0.0
    for threshold in sorted({*positive, *negative}, reverse=True):
        hits, alarms = np.sum(positive >= threshold), np.sum(negative >= threshold)
        total += hits / (hits + alarms) * (hits / len(positive) - recall)
        recall = hits / len(positive)
    return total


def fpr95(own, foreign):
    """The lowest false alarm rate of all thresholds that catch at least 95 %."""
    thresholds = [t for t in foreign if np.mean(foreign >= t) >= 0.95]
    return min(np.mean(own >= t) for t in thresholds)


def fpr95_in(own, foreign):
    """The smallest share of foreign images accepted by thresholds that accept 95 % of the own."""
    thresholds = [*own, *foreign, np.inf]
    kept = [t for t in thresholds if np.mean(own < t) >= 0.95]
    return min(np.mean(foreign < t) for t in kept)


@pytest.mark.parametrize("levels", [3, 10, 10**9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("sizes", [(40, 40), (100, 20), (7, 61)])
def test_brute_force(levels, shift, sizes):
    rng = np.random.default_rng([levels, int(shift + 1), *sizes])
    own = np.round(rng.normal(size=sizes[0]) * levels) / levels
    foreign = np.round(rng.normal(shift, 1, size=sizes[1]) * levels) / levels
    found = detection_metrics(own, foreign)
    assert found["auroc"] == pytest.approx(auroc(own, foreign))
    assert found["auprc_out"] == pytest.approx(average_precision(foreign, own))
    assert found["auprc_in"] == pytest.approx(average_precision(-own, -foreign))
    assert found["fpr95"] == pytest.approx(fpr95(own, foreign))
    assert found["fpr95_in"] == pytest.approx(fpr95_in(own, foreign))


def test_higher_scores_of_foreign_images_are_good():
    found = detection_metrics(np.zeros(5), np.ones(5))
    perfect = {"auroc": 1.0, "auprc_out": 1.0, "auprc_in": 1.0, "fpr95": 0.0, "fpr95_in": 0.0}
    assert found == perfect
    assert detection_metrics(np.ones(5), np.zeros(5))["auroc"] == 0.0


def test_constant_scores_are_a_coin():
    found = detection_metrics(np.zeros(30), np.zeros(10))
    coin = {"auroc": 0.5, "auprc_out": 0.25, "auprc_in": 0.75, "fpr95": 1.0, "fpr95_in": 1.0}
    assert found == coin


def test_fpr95_flags_own_images_and_not_the_other_way_round():
    own = np.array([0.0] * 9 + [5.0])
    foreign = np.array([1.0] * 20)
    found = detection_metrics(own, foreign)
    assert found["fpr95"] == pytest.approx(0.1)
    # Of 10 own images none may be flagged.
    assert found["fpr95_in"] == 1.0
    assert detection_metrics(np.array([0.0] * 19 + [5.0]), foreign)["fpr95_in"] == 0.0


def test_exactly_95_percent_is_enough():
    foreign = np.array([0.0] + [2.0] * 19)
    own = np.array([1.0] * 10)
    assert detection_metrics(own, foreign)["fpr95"] == 0.0
    foreign = np.array([0.0] * 2 + [2.0] * 18)
    assert detection_metrics(own, foreign)["fpr95"] == 1.0


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [1.0, np.inf], [[1.0], [2.0]]])
def test_bad_scores_are_refused_and_their_set_is_named(bad):
    with pytest.raises(EvaluationError, match="in-distribution"):
        detection_metrics(np.array(bad), np.ones(3))
    with pytest.raises(EvaluationError, match="out-of-distribution"):
        detection_metrics(np.ones(3), np.array(bad))


def test_the_area_below_the_roc_curve_is_the_auroc():
    own, foreign = np.arange(20) % 7, np.arange(30) % 9 + 1
    flagged, caught = roc(own, foreign)
    area = np.trapezoid(caught, flagged)
    assert area == pytest.approx(detection_metrics(own, foreign)["auroc"])
    assert (flagged[0], caught[0], flagged[-1], caught[-1]) == (0, 0, 1, 1)


@pytest.mark.parametrize(("number", "count"), [(0, 10), (3, 10), (10, 10), (500, 10_000)])
def test_intervals_of_shares(number, count):
    expected = stats.binomtest(number, count).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(share_interval(number, count), expected, atol=1e-6)
