"""What every registered detector keeps, without knowing which it is."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from tests.evaluation.fakes import table, with_columns
from tfp_ood import detectors
from tfp_ood.detectors import ColumnDetector
from tfp_ood.detectors.base import matching

RNG = np.random.default_rng(0)


def columns(detector):
    """What a detector needs, two of each kind that a family has its own parts of; of the combined
    one what all need."""
    asked = detectors.DETECTORS.values() if detector.name == detectors.COMBINED else [detector]
    needs = dict.fromkeys(need for one in asked for need in (*one.needs, *one.combined_with))
    parts = ([f"{need[:-1]}a", f"{need[:-1]}b"] if need.endswith("*") else [need] for need in needs)
    return [name for part in parts for name in part]


def images(detector, count, seed=0, spread=1.0):
    """Tables of the same images, one for each model, with all columns that a detector needs."""
    made = [table(RNG.normal(3, 0.3 * spread, count), seed=seed + e) for e in range(2)]
    further = [name for name in columns(detector) if name not in ("log_prob", "bits_per_dim")]
    made = [
        with_columns(one, **{name: 5.0 + RNG.normal(size=count) * spread for name in further})
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
    assert detector.tails in ("high", "both")


def test_one_finite_number_per_image(detector):
    fitted = detector.fit(images(detector, 50))
    for count in (1, 3):
        score = fitted.score(images(detector, count))
        assert score.shape == (count,) and score.dtype == np.float64
        assert np.all(np.isfinite(score))


@pytest.mark.parametrize(("count", "spread"), [(1, 1.0), (2, 1.0), (50, 0.0)])
def test_few_or_equal_held_out_images_are_enough(detector, count, spread):
    fitted = detector.fit(images(detector, count, spread=spread))
    for given in (
        images(detector, 4),
        images(detector, 4, spread=0.0),
        images(detector, 4, spread=1e6),
    ):
        assert np.all(np.isfinite(fitted.score(given)))


def test_a_score_is_of_its_image_whatever_the_others(detector):
    fitted, tables = detector.fit(images(detector, 50)), images(detector, 6)
    chosen = np.array([4, 1])
    part = [one.take(chosen) for one in tables]
    np.testing.assert_allclose(fitted.score(part), fitted.score(tables)[chosen])


def test_fitting_changes_nothing_in_the_registry(detector):
    held_out, tables = images(detector, 50), images(detector, 6)
    first = detector.fit(held_out).score(tables)
    detector.fit(images(detector, 40, seed=7))
    np.testing.assert_array_equal(detector.fit(held_out).score(tables), first)
    assert not getattr(detectors.DETECTORS[detector.name], "columns", ())


def test_tables_without_its_columns_are_not_judged(detector):
    tables = images(detector, 5)
    assert detector.is_applicable(tables) and not detector.missing(tables[0].column_names)
    for need in set(detector.needs) - {"log_prob", "bits_per_dim"}:
        without = tables[0].without(matching(need, tables[0].column_names))
        assert not detector.is_applicable([without]) and detector.missing(without.column_names)


OF_COLUMNS = [name for name, one in detectors.DETECTORS.items() if isinstance(one, ColumnDetector)]


@pytest.mark.parametrize("name", OF_COLUMNS)
def test_arithmetic_on_columns_is_the_score_in_a_graph_too(name):
    detector = detectors.DETECTORS[name]
    fitted, (judged,) = detector.fit(images(detector, 60)), images(detector, 5)
    given = judged.columns(fitted.uses(judged.column_names))
    np.testing.assert_array_equal(fitted.of_columns(given, np), fitted.score([judged]))
    told = tf.function(lambda columns: fitted.of_columns(columns, tnp))(
        {name: tf.constant(values) for name, values in given.items()}
    )
    assert told.dtype == tf.float64
    np.testing.assert_allclose(told.numpy(), fitted.score([judged]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spread", [1.0, 0.0])
@pytest.mark.parametrize("name", OF_COLUMNS)
def test_a_graph_of_a_detector_that_few_images_fitted(name, spread):
    detector = detectors.DETECTORS[name]
    fitted, (judged,) = detector.fit(images(detector, 2, 0, spread)), images(detector, 3)
    given = judged.columns(fitted.uses(judged.column_names))
    tensors = {name: tf.constant(values) for name, values in given.items()}
    told = fitted.of_columns(tensors, tnp).numpy()
    np.testing.assert_allclose(told, fitted.score([judged]), rtol=1e-9, atol=1e-9)


def test_what_it_takes_is_enough_for_it(detector):
    """`combined` hands on nothing else."""
    every = columns(detectors.DETECTORS[detectors.COMBINED])
    every += ["log_prob_latent", "reconstruction", "kl", "log_prob.red"]
    for chosen in np.random.default_rng(0).random((200, len(every))) < 0.7:
        taken = detector.uses(
            [name for name, is_there in zip(every, chosen, strict=True) if is_there]
        )
        assert detector.uses(taken) == taken


def test_a_detector_of_the_combination_is_of_single_models(detector):
    assert not (detector.is_combined and detector.of_ensembles)
    if detector.is_combined:
        assert isinstance(detector, ColumnDetector)


def test_likelihood_is_there_and_of_single_models():
    assert not detectors.DETECTORS[detectors.LIKELIHOOD].of_ensembles
    assert detectors.LIKELIHOOD in detectors.panel([], [table([1.0])]).detectors
    assert list(detectors.DETECTORS)[-1] == detectors.COMBINED
