"""The bootstrap against scikit-learn, and against how often its intervals hold the truth."""

import numpy as np
import pytest
from scipy import stats

from tfp_ood.errors import EvaluationError
from tfp_ood.metrics import bootstrap
from tfp_ood.metrics.detection import detection_metrics


@pytest.fixture(autouse=True, name="kept")
def _kept(monkeypatch):
    """What is kept of earlier results: nothing of other tests."""
    kept = {}
    monkeypatch.setattr(bootstrap, "_KEPT", kept)
    return kept


@pytest.mark.parametrize("levels", [2, 10, 10**9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 3.0])
@pytest.mark.parametrize("sizes", [(200, 200), (300, 40), (3, 61)])
def test_metrics_of_counts_are_scikit_learns(levels, shift, sizes):
    rng = np.random.default_rng([levels, int(shift + 1), *sizes])
    own = np.round(rng.normal(size=sizes[0]) * levels) / levels
    foreign = np.round(rng.normal(shift, 1, size=sizes[1]) * levels) / levels
    # Values that no image has must not matter: most resamples leave some out.
    values = np.unique(np.concatenate([own, foreign, [-9.0, 0.1234, 9.0]]))
    counts = [np.sum(scores[:, None] == values, axis=0) for scores in (own, foreign)]
    assert bootstrap.metrics_of_counts(*counts) == pytest.approx(detection_metrics(own, foreign))


def test_what_was_asked_before_is_not_made_again_and_nothing_else_is_taken_for_it(monkeypatch):
    own, foreign = np.arange(20.0), np.arange(20.0) + 3.5
    first = bootstrap.estimates(own, foreign, 50)
    others = [
        bootstrap.estimates(foreign, own, 50),
        bootstrap.estimates(np.append(own, foreign[0]), foreign[1:], 50),
        bootstrap.estimates(own, foreign, 51),
        bootstrap.estimates(own, foreign, 50, 1),
    ]
    assert first not in others
    expected = {name: first[0][name] for name in first[0]}
    first[0].clear()  # callers may change what they got
    monkeypatch.setattr(bootstrap, "_estimates", None)
    assert bootstrap.estimates(own.copy(), foreign, 50)[0] == expected


def test_intervals_hold_the_truth_at_their_rate():
    """Of normal scores, whose AUROC is known: Phi(shift / sqrt(2))."""
    shift, truth = 0.8, stats.norm.cdf(0.8 / np.sqrt(2))
    held = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        own, foreign = rng.normal(size=150), rng.normal(shift, 1, size=100)
        low, high = bootstrap.intervals(own, foreign, num_resamples=300, seed=trial)["auroc"]
        held += low <= truth <= high
    # Three standard deviations of a share of 200, around the nominal 0.95.
    assert held / 200 == pytest.approx(bootstrap.LEVEL, abs=3 * np.sqrt(0.95 * 0.05 / 200))


@pytest.mark.parametrize("levels", [2, 10, 10**9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("shift", [-5.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("sizes", [(50, 50), (50, 300), (300, 50)])
def test_intervals_surround_the_figures_of_few_images(levels, shift, sizes):
    """Those of scores that get all in the wrong order too, whose AUPRC is the least there is."""
    rng = np.random.default_rng([levels, int(shift + 5), *sizes])
    own = np.round(rng.normal(size=sizes[0]) * levels) / levels
    foreign = np.round(rng.normal(shift, 1, size=sizes[1]) * levels) / levels
    found = bootstrap.intervals(own, foreign, num_resamples=100)
    for name, value in detection_metrics(own, foreign).items():
        low, high = found[name]
        assert 0 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1, name


@pytest.mark.parametrize("too_many", [10**6, 5000])
@pytest.mark.parametrize("shift", [-4.0, -2.9, 0.0])
@pytest.mark.parametrize("sizes", [(10_000, 30), (720, 10_000), (10_000, 10_000)])
def test_intervals_surround_the_figures_of_many_images(monkeypatch, too_many, shift, sizes):
    """By groups of scores, in which copies of an image are no ties either."""
    monkeypatch.setattr(bootstrap, "_TOO_MANY", too_many)
    rng = np.random.default_rng([int(shift + 5), *sizes])
    own, foreign = rng.normal(size=sizes[0]), rng.normal(shift, 1, size=sizes[1])
    found = bootstrap.intervals(own, foreign, num_resamples=100)
    for name, value in detection_metrics(own, foreign).items():
        low, high = found[name]
        assert low <= value + 1e-12 and value - 1e-12 <= high, name


def test_copies_of_an_image_stand_one_after_the_other():
    """AUPRC of a resample: the mean precision at each positive image, in turn."""
    rng = np.random.default_rng(0)
    positive = np.array([0, 3, 0, 2, 0, 0, 1, 4])  # of one image each, from the highest score on
    negative = rng.integers(0, 3, 8)
    precisions, place, alarms = [], 0, 0
    for number, others in zip(positive, negative, strict=True):
        alarms += others
        for _ in range(number):
            place += 1
            precisions.append(place / (place + alarms))
    counts = negative[::-1], positive[::-1]
    whole = np.ones(8, int), np.minimum(positive, 1)[::-1]
    found = bootstrap.metrics_of_counts(*counts, whole)["auprc_out"]
    assert found == pytest.approx(np.mean(precisions), abs=1e-12)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.0])
def test_resamples_are_no_better_than_what_they_are_of(shift):
    """Their mean AUPRC is that of the sample: to a tenth of its standard deviation."""
    rng = np.random.default_rng(int(shift + 2))
    own, foreign = rng.normal(size=50), rng.normal(shift, 1, size=50)
    whole = [np.bincount(places, minlength=100) for places in np.split(ranks(own, foreign), 2)]
    resampled = []
    for _ in range(400):
        chosen = [places[rng.integers(0, 50, 50)] for places in np.split(ranks(own, foreign), 2)]
        counts = [np.bincount(places, minlength=100) for places in chosen]
        resampled.append(bootstrap.metrics_of_counts(*counts, whole))
    expected = detection_metrics(own, foreign)
    for name in ("auprc_out", "auprc_in"):
        values = [one[name] for one in resampled]
        assert np.mean(values) == pytest.approx(expected[name], abs=0.25 * np.std(values)), name


def ranks(own, foreign):
    """The place of each of both sets' scores among all, none of which are alike."""
    return np.argsort(np.argsort(np.concatenate([own, foreign])))


def test_intervals_surround_the_figures_and_narrow_with_more_images():
    widths = []
    for count in (50, 5000):
        rng = np.random.default_rng(1)
        own, foreign = rng.normal(size=count), rng.normal(1.0, 1, size=count)
        found = bootstrap.intervals(own, foreign, num_resamples=200)
        for name, value in detection_metrics(own, foreign).items():
            assert found[name][0] <= value <= found[name][1], name
        widths.append(found["auroc"][1] - found["auroc"][0])
    assert 5 < widths[0] / widths[1] < 20  # about the root of 100


def test_the_seed_decides(kept):
    own, foreign = np.arange(20.0), np.arange(20.0) + 3.5
    first = bootstrap.intervals(own, foreign, 50, seed=1)
    kept.clear()
    assert first == bootstrap.intervals(own, foreign, 50, seed=1)
    assert first != bootstrap.intervals(own, foreign, 50, seed=2)


def test_bad_scores_are_refused():
    with pytest.raises(EvaluationError, match="out-of-distribution"):
        bootstrap.intervals(np.ones(3), np.array([1.0, np.nan]))


@pytest.mark.parametrize("too_many", [10**6, 1000])
def test_intervals_of_very_many_images_are_those_of_all_of_them(monkeypatch, kept, too_many):
    """By groups of scores, of which images or numbers are drawn, and image by image: the same to
    what resampling leaves open."""
    rng = np.random.default_rng(0)
    own, foreign = rng.normal(size=6000), np.round(rng.normal(1, 2, 4000), 2)
    monkeypatch.setattr(bootstrap, "_MANY", 10**6)
    exact, ends = bootstrap.estimates(own, foreign)
    monkeypatch.setattr(bootstrap, "_MANY", 1000)
    monkeypatch.setattr(bootstrap, "_TOO_MANY", too_many)
    kept.clear()
    again, grouped = bootstrap.estimates(own, foreign)
    assert again == exact == pytest.approx(detection_metrics(own, foreign))
    for name, (low, high) in ends.items():
        assert grouped[name] == pytest.approx((low, high), abs=0.15 * (high - low)), name
