"""Drift is said at its level and no more, found where it is, and single images are named."""

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks.monitor import judged, share_of_drift
from tests.evaluation.fakes import table
from tfp_ood.detectors import conformal, drift
from tfp_ood.errors import EvaluationError

RNG = np.random.default_rng(0)
OWN, NUM_DRAWS = 4_000, 100


def scored(name, split, number, mean=3.0):
    """Images whose likelihood varies, that of foreign ones around another mean."""
    return table(RNG.normal(mean, 0.1, number), name, split)


@pytest.fixture(scope="module", name="sets")
def _sets():
    """Scores and flags, by the guard of a run, of own test images and of foreign ones."""
    held_out = scored("fashion_mnist", "validation", 1_000)
    own, foreign = scored("fashion_mnist", "test", OWN), scored("mnist", "test", 500, mean=3.4)
    return judged(held_out, [own, foreign])


def test_own_images_have_not_drifted_in_95_of_100_draws(sets):
    own, _ = sets
    for size in (200, 1_000):  # at the level of the config, 1 %
        assert share_of_drift(own, None, size, 0.0, NUM_DRAWS) <= 0.05


def test_the_level_is_kept_and_used():
    """Whatever it is, over many draws of own images without a guard's luck."""
    scores = RNG.gamma(2.0, 1.0, 2_000)
    own = scores, scores > np.quantile(scores, 0.93)
    found = share_of_drift(own, None, 500, 0.0, 300, 0.3)
    assert 0.2 < found < 0.3 + 2.5 * np.sqrt(0.3 * 0.7 / 300)


@pytest.mark.parametrize("jitter", [0.0, 1e-7])
def test_images_that_occur_again_and_again_are_no_drift(jitter):
    """Their scores are equal, or nearly so, as of one image in another batch."""
    rng = np.random.default_rng(3)

    def scores(number):
        again = number // 20
        return np.concatenate([np.full(again, 2.0), rng.normal(size=number - again)])

    found = [drift.other_scores(scores(200) * (1 + jitter), scores(5_000)) for _ in range(100)]
    assert sum(p <= 0.01 for p in found) <= 5
    assert drift.other_scores(scores(200) + 1.0, scores(5_000)) < 1e-4


@pytest.mark.parametrize(("size", "share"), [(1_000, 0.1), (1_000, 0.05), (200, 0.1)])
def test_some_foreign_images_are_drift(sets, size, share):
    own, foreign = sets
    assert foreign[1].mean() > 0.9
    assert share_of_drift(own, foreign, size, share, 20) == 1.0


def test_images_that_are_all_too_usual_are_drift_by_their_scores_alone():
    own = RNG.normal(size=1_000)
    found = drift.compare(own[:300] * 0.3 - 0.7, own, (0, 50), 0.05, 0.1)
    assert found.found == (drift.SCORES,) and found.p_values[drift.FLAGS] == 1.0


def test_few_foreign_images_are_drift_by_their_flags_alone():
    own = RNG.normal(size=5_000)
    new = np.concatenate([RNG.normal(size=485), np.full(15, 9.0)])
    flagged = int(np.sum(new > 2.5)), int(np.sum(own > 2.5))
    assert drift.compare(new, own, flagged, 0.05, 0.1).found == (drift.FLAGS,)


def test_holm_keeps_the_level():
    def found(flags, scores):
        return drift._holm({drift.FLAGS: flags, drift.SCORES: scores}, 0.05)

    assert found(0.03, 0.03) == ()
    assert found(0.02, 0.06) == (drift.FLAGS,)
    assert found(0.04, 0.02) == (drift.SCORES, drift.FLAGS)


def test_flags_are_compared_by_fishers_test():
    for number, own in ((30, 40), (3, 900), (0, 0), (100, 1_000)):
        table = [[number, 100 - number], [own, 1_000 - own]]
        wanted = stats.fisher_exact(table, alternative="greater").pvalue
        assert drift.more_flagged(number, 100, own, 1_000) == pytest.approx(wanted, abs=1e-12)


def test_own_images_are_flagged_as_often_as_is_expected():
    """In at least 95 % of draws of all, the images that set the threshold among them."""
    inside = []
    for _ in range(400):
        calibration = conformal.calibrate(RNG.normal(size=60), 0.1)
        low, high = drift.expected_flagged(calibration, 150)
        verdicts = conformal.verdicts(calibration, RNG.normal(size=150))
        inside.append(low <= np.sum(verdicts["is_out_of_distribution"]) <= high)
    assert 0.93 < np.mean(inside) <= 0.99
    # Far wider than that of 150 images at exactly 10 %, which few images cannot promise.
    assert (low, high) == (4, 30) and stats.binom.interval(0.95, 150, 0.1) == (8, 23)


def test_images_are_named_as_benjamini_and_hochberg_say():
    own = RNG.normal(size=999)
    new = np.concatenate([RNG.normal(size=180), RNG.normal(6.0, 1.0, 20)])
    found = drift.compare(new, own, (0, 0), 0.05, 0.1)
    equal = conformal.TIE * np.abs(new)
    wanted = [
        (1 + np.sum(own >= one - slack)) / 1_000 for one, slack in zip(new, equal, strict=True)
    ]
    np.testing.assert_allclose(found.image_p_values, wanted)
    ranked = np.sort(wanted)
    most = max(k for k in range(1, 201) if ranked[k - 1] <= 0.1 * k / 200)
    assert set(found.named) == {i for i in range(200) if wanted[i] <= ranked[most - 1]}
    assert np.all(np.diff(new[found.named]) <= 0) and len(found.named) >= 20
    assert np.mean(found.named < 180) < 0.25


@pytest.mark.parametrize(("count", "own", "rate"), [(200, 200, 0.1), (100, 99, 0.1), (7, 500, 0.1)])
def test_how_many_must_be_beyond_all_for_one_to_be_named(count, own, rate):
    needed = drift.fewest_beyond(count, own, rate)
    scores = np.arange(own, dtype=np.float64)

    def num_named(number):
        new = np.concatenate([np.full(number, own + 1.0), np.full(count - number, 0.5)])
        return len(drift.compare(new, scores, (0, 0), 0.05, rate).named)

    assert num_named(needed) == needed and num_named(needed - 1) == 0


def test_the_smallest_share_is_found_with_a_chance_of_80_percent():
    share = drift.smallest_share(200, 50, 1_000, 0.05)
    foreign = RNG.random((2_000, 200)) < share
    flagged = (foreign | (RNG.random((2_000, 200)) < 0.05)).sum(1)
    found = [drift.more_flagged(int(number), 200, 50, 1_000) <= 0.025 for number in flagged]
    assert np.mean(found) == pytest.approx(drift.POWER, abs=0.04) and 0.04 < share < 0.08
    assert drift.smallest_share(1_000, 50, 1_000, 0.05) < share
    assert drift.smallest_share(1, 1, 10, 0.05) is None


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(EvaluationError, match="1 of 2 new scores are not finite"):
        drift.compare(np.array([0.0, np.nan]), np.zeros(3), (0, 0), 0.05, 0.1)
