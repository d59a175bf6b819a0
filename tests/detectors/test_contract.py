"""What every registered detector keeps, without knowing which it is."""

import dataclasses
import re

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood import detectors
from tfp_ood.detectors import ColumnDetector
from tfp_ood.detectors.base import matching

RNG = np.random.default_rng(0)


def images(detector, count, seed=0):
    """Tables of the same images, one for each model, with all columns that a detector needs."""
    made = [table(RNG.normal(3, 0.3, count), seed=seed + e) for e in range(2)]
    # A family's own parts of "NAME.*" are some.
    parts = [n[:-1] + part for n in detector.needs if n.endswith(".*") for part in ("a", "b")]
    plain = [name for name in detector.needs if not name.endswith(".*")]
    further = [name for name in (*plain, *parts) if name not in made[0].column_names]
    made = [
        dataclasses.replace(
            one, statistics={**one.statistics, **{k: RNG.normal(size=count) for k in further}}
        )
        for one in made
    ]
    return made if detector.of_ensembles else made[:1]


@pytest.fixture(name="detector", params=detectors.DETECTORS)
def _detector(request):
    return detectors.DETECTORS[request.param]


def test_it_says_what_it_is(detector):
    assert detectors.DETECTORS[detector.name] is detector
    assert re.fullmatch(r"[a-z][a-z0-9_]*", detector.name) and detector.title
    assert detector.needs and detector.__doc__


def test_one_finite_number_per_image(detector):
    fitted = detector.fit(images(detector, 50))
    for count in (1, 3):
        score = fitted.score(images(detector, count))
        assert score.shape == (count,) and score.dtype == np.float64
        assert np.all(np.isfinite(score))


def test_a_score_is_of_its_image_whatever_the_others(detector):
    fitted, tables = detector.fit(images(detector, 50)), images(detector, 6)
    chosen = [4, 1]
    part = [
        dataclasses.replace(
            one,
            index=one.index[chosen],
            label=one.label[chosen],
            log_prob=one.log_prob[chosen],
            bits_per_dim=one.bits_per_dim[chosen],
            statistics={name: values[chosen] for name, values in one.statistics.items()},
        )
        for one in tables
    ]
    np.testing.assert_allclose(fitted.score(part), fitted.score(tables)[chosen])


def test_fitting_changes_nothing_in_the_registry(detector):
    held_out, tables = images(detector, 50), images(detector, 6)
    first = detector.fit(held_out).score(tables)
    detector.fit(images(detector, 40, seed=7))
    np.testing.assert_array_equal(detector.fit(held_out).score(tables), first)


def test_tables_without_its_columns_are_not_judged(detector):
    tables = images(detector, 5)
    assert detector.is_applicable(tables)
    for name in set(detector.needs) - {"log_prob", "bits_per_dim"}:
        lost = matching(name, tables[0].column_names)
        without = {k: v for k, v in tables[0].statistics.items() if k not in lost}
        assert not detector.is_applicable([dataclasses.replace(tables[0], statistics=without)])


def test_arithmetic_on_columns_is_the_score(detector):
    if isinstance(detector, ColumnDetector):
        (judged,), fitted = images(detector, 5), detector.fit(images(detector, 50))
        found = fitted.of_columns(judged.columns(fitted.uses(judged.column_names)), np)
        np.testing.assert_array_equal(found, fitted.score([judged]))


@pytest.mark.parametrize("count", [1, 2])
def test_few_held_out_images_or_such_as_are_all_the_same_do(detector, count):
    held_out = images(detector, count)
    tables = images(detector, 4)
    assert np.all(np.isfinite(detector.fit(held_out).score(tables)))
    same = [one.take(np.zeros(5, int)) for one in held_out]
    assert np.all(np.isfinite(detector.fit(same).score(tables)))


def test_likelihood_is_there_and_of_single_models():
    assert not detectors.DETECTORS[detectors.LIKELIHOOD].of_ensembles
    assert detectors.LIKELIHOOD in detectors.fitted([], [table([1.0])])
    assert not set(detectors.of_ensembles()) & set(detectors.fitted([], [table([1.0])]))
