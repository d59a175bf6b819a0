"""What is usual, learnt from samples whose distribution is known."""

import types

import numpy as np
import pytest
from scipy import stats

from tfp_ood.detectors import usual

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(5.0, 2.0, 4000)


def test_a_map_is_numpys_between_its_knots_and_goes_on_by_its_slopes():
    knots, values = np.array([-1.0, 0.0, 0.5, 3.0]), np.array([0.0, 1.0, 1.5, 9.0])
    line = usual.Interpolation(knots, values, 2.0, 0.5)
    inside = np.linspace(-1.0, 3.0, 41)
    np.testing.assert_allclose(line(inside, np), np.interp(inside, knots, values))
    np.testing.assert_allclose(line(np.array([-2.0, 5.0]), np), [-2.0, 10.0])


def test_a_map_with_one_knot():
    line = usual.Interpolation(np.array([3.0]), np.array([1.0]), 2.0, 0.5)
    np.testing.assert_allclose(line(np.array([2.0, 3.0, 5.0]), np), [-1.0, 1.0, 2.0])


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_map_is_the_same_without_numpys_own_function(count):
    """As a graph computes it, by a module that has no `interp`."""
    other = types.SimpleNamespace(clip=np.clip, sum=np.sum, minimum=np.minimum, maximum=np.maximum)
    rng = np.random.default_rng(count)
    line = usual.Interpolation(np.cumsum(rng.uniform(0.1, 1, count)), rng.normal(size=count), 2, 3)
    x = rng.normal(2, 4, 100)
    np.testing.assert_allclose(line(x, np), line(x, other), rtol=1e-12, atol=1e-12)


def test_normal_scores_of_a_normal_sample_are_standard_ones():
    line = usual.normal_scores(NORMAL)
    z = np.linspace(-2.3, 2.3, 50)
    np.testing.assert_allclose(line(5.0 + 2.0 * z, np), z, atol=0.12)
    # Beyond the quantiles far stays far.
    np.testing.assert_allclose(line(np.array([-95.0, 105.0]), np), [-50, 50], rtol=0.1)


@pytest.mark.parametrize(
    "values",
    [stats.lognorm.rvs(1.5, size=500, random_state=0), RNG.integers(0, 3, 500).astype(float),
     np.round(NORMAL), np.full(9, 7.0), np.array([4.0]), np.array([1.0, 2.0]),
     np.concatenate([NORMAL, [1e12]])],
    ids=["skewed", "few values", "ties", "constant", "one", "two", "an outlier"],
)  # fmt: skip
def test_maps_rise_and_are_finite(values):
    line = usual.normal_scores(values)
    given = np.sort(np.concatenate([values, np.linspace(-1e9, 1e9, 2001), [1e15, -1e15]]))
    found = line(given, np)
    assert np.all(np.isfinite(found)) and np.all(np.diff(found) >= 0)
    told = usual.surprise(values)(given, np)
    assert np.all(np.isfinite(told)) and np.all(np.diff(told) >= -1e-9) and told.min() >= 0


@pytest.mark.parametrize("name", ["norm", "expon", "cauchy", "uniform"])
def test_the_surprise_of_a_sample_like_the_own_is_exponential(name):
    draw = getattr(stats, name).rvs
    told = usual.surprise(draw(size=4000, random_state=0))(draw(size=20_000, random_state=1), np)
    assert np.mean(told) == pytest.approx(1.0, abs=0.1)
    for share in (0.5, 0.1, 0.01):
        assert np.quantile(told, 1 - share) == pytest.approx(-np.log(share), rel=0.2)


def test_heavy_tails_surprise_less_than_light_ones():
    told = {
        name: usual.surprise(draw(size=4000, random_state=0))(np.array([50.0]), np)[0]
        for name, draw in (("light", stats.norm.rvs), ("heavy", stats.cauchy.rvs))
    }
    assert told["heavy"] < 8 < 20 < told["light"]


@pytest.mark.parametrize("outlier", [100.0, 1e5, 1e7, 1e12])
@pytest.mark.parametrize("count", [60, 200, 500])
def test_one_odd_image_does_not_say_what_is_rare(count, outlier):
    """A broken picture among the held-out ones: others stay about as rare."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        scores = rng.chisquare(17, count)
        with_it = np.append(scores, outlier)
        asked = np.array([17.0, 30.0, 40.0])
        alone, told = (usual.surprise(values)(asked, np) for values in (scores, with_it))
        assert np.all(np.diff(told) > 0) and np.all(told[1:] > 0.4 * np.minimum(alone[1:], 8))


@pytest.mark.parametrize("rounding", [0.0, 1e-15, 1e-7])
@pytest.mark.parametrize("share", [0.06, 0.09, 0.12, 0.3])
def test_images_that_are_alike_do_not_make_all_others_rare(share, rounding):
    """Copies whose score is about the 90th percentile of all: the tail is of the others."""
    for draw in range(20):
        rng = np.random.default_rng(draw)
        scores = rng.chisquare(17, 200)
        alike = rng.permutation(200)[: int(200 * share)]
        scores[alike] = np.quantile(scores, 0.9) * (1 + rounding * rng.normal(size=len(alike)))
        told = usual.surprise(scores)(np.array([26.0, 40.0, 60.0]), np)
        assert np.all(np.diff(told) > 0) and told[0] > 0.5 and told[1] < 40


@pytest.mark.parametrize("fit", [usual.distance, usual.density])
def test_one_odd_image_does_not_say_what_is_usual(fit):
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=300) for name in "abcde"}
    asked = {name: np.array([0.0, 1.0, 3.0, 5.0]) for name in "abcde"}
    alone = fit(columns)(asked, np)
    for outlier in (30.0, 1e4, 1e9):
        with_it = {name: np.append(values, outlier) for name, values in columns.items()}
        np.testing.assert_allclose(fit(with_it)(asked, np), alone, rtol=0.25, atol=0.5)


def test_the_distance_of_usual_images_is_the_number_of_statistics():
    mixed = RNG.normal(size=(4000, 3)) @ RNG.normal(size=(3, 3))
    columns = {f"s{i}": np.exp(values) for i, values in enumerate(mixed.T)}
    told = usual.distance(columns)(columns, np)
    assert np.mean(told) == pytest.approx(3.0, rel=0.05)
    np.testing.assert_allclose(np.quantile(told, 0.9), stats.chi2.ppf(0.9, 3), rtol=0.1)


def test_the_distance_by_hand_of_one_statistic():
    told = usual.distance({"a": NORMAL})({"a": np.array([5.0, 9.0, 1.0])}, np)
    np.testing.assert_allclose(told, [0.0, 4.0, 4.0], atol=0.3)


def test_the_density_of_a_normal_sample_is_the_normal_one():
    columns = {"a": NORMAL, "b": RNG.normal(size=4000)}
    found = usual.density(columns)
    given = {"a": np.array([5.0, 9.0]), "b": np.array([0.0, 1.0])}
    expected = stats.norm.logpdf([0, 2]) + stats.norm.logpdf([0, 1])
    np.testing.assert_allclose(found(given, np), expected, atol=0.15)


def test_the_density_has_as_many_gaussians_as_are_needed():
    two = np.concatenate([RNG.normal((-2, -2), 0.3, (500, 2)), RNG.normal((2, 2), 0.3, (500, 2))])
    found = usual.density({"a": two[:, 0], "b": two[:, 1]})
    assert len(found.means) > 1
    # Each statistic is usual, together they are not.
    usually, rarely = found({"a": np.array([2.0, 2.0]), "b": np.array([2.0, -2.0])}, np)
    assert usually > rarely + 2


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_few_or_constant_images_are_enough(count):
    columns = {"a": RNG.normal(size=count), "b": np.full(count, 3.0)}
    given = {"a": np.array([0.0, 1e6]), "b": np.array([3.0, 4.0])}
    for made in (usual.distance(columns), usual.density(columns)):
        assert np.all(np.isfinite(made(given, np)))


def test_rounding_does_not_say_what_is_usual():
    """Log-dets of flows with constant volume are the same but for the last digit of float32, of
    which another machine has another. Found by review: all its images were far away."""
    columns = {"a": RNG.normal(size=600), "b": -2728.1072 + RNG.choice([-2e-4, 0, 2e-4], 600)}
    given = {"a": RNG.normal(size=600), "b": np.full(600, -2728.1072 + 5e-4)}
    for sign, made in ((1, usual.distance(columns)), (-1, usual.density(columns))):
        usually, elsewhere = sign * made(columns, np), sign * made(given, np)
        assert np.mean(elsewhere > np.quantile(usually, 0.95)) < 0.1
        far = {"a": np.zeros(1), "b": np.full(1, -2727.0)}
        assert sign * made(far, np)[0] > np.max(usually) + 100
