"""All detectors together, as far as their sum is told by what each is."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.fakes import table, with_columns
from tfp_ood.detectors.base import ColumnDetector, FittedDetector
from tfp_ood.detectors.combined import Combined
from tfp_ood.metrics.detection import detection_metrics

RNG = np.random.default_rng(0)
SIZE = 1000


class First(ColumnDetector):
    """A column as it is."""

    name, title, needs, is_combined = "first", "First", ("first",), True

    def of_columns(self, columns, xp):
        return columns["first"]


class Second(First):
    """Another."""

    name, needs = "second", ("second",)

    def of_columns(self, columns, xp):
        return columns["second"]


class Noise(First):
    """Heavy-tailed noise, a function of the image."""

    name, needs = "noise", ("log_prob",)

    def of_columns(self, columns, xp):
        return 1.0 / (1e-6 + xp.abs(xp.sin(1e6 * columns["log_prob"])))


class Farthest(FittedDetector):
    """How far a column is from all that it was fitted to; 0 for an image of the fit."""

    name, title, needs = "farthest", "Farthest", ("first",)

    def learn(self, columns):
        self._seen = columns["first"]

    def of_columns(self, columns, xp):
        return np.min(np.abs(columns["first"][:, None] - self._seen), axis=1)


def images(first=0.0, second=0.0, count=SIZE, **more):
    """Images whose two columns are standard normal about these means."""
    return with_columns(
        table(RNG.normal(3, 0.1, count)),
        first=RNG.normal(first, 1, count),
        second=RNG.normal(second, 1, count),
        **more,
    )


def auroc(members, own, foreign, held_out):
    fitted = Combined(members).fit([held_out])
    return detection_metrics(fitted.score([own]), fitted.score([foreign]))["auroc"]


def test_what_either_finds_foreign_is():
    held_out, own = images(), images()
    both = (First(), Second())
    assert auroc(both, own, images(first=4.0), held_out) > 0.95
    assert auroc(both, own, images(second=4.0), held_out) > 0.95
    assert auroc(both, own, images(), held_out) == pytest.approx(0.5, abs=0.05)
    assert auroc((First(),), own, images(second=4.0), held_out) < 0.6


def test_noise_takes_little_away():
    held_out, own, foreign = images(), images(), images(first=3.5)
    alone = auroc((First(), Second()), own, foreign, held_out)
    assert auroc((First(), Second(), Noise()), own, foreign, held_out) > alone - 0.02


def test_one_member_alone_ranks_as_it_does():
    held_out, judged = images(), images(first=1.0)
    scores = Combined((First(),)).fit([held_out]).score([judged])
    order = np.argsort(judged.statistics["first"])
    assert np.all(np.diff(scores[order]) >= -1e-9)


def test_how_rare_a_score_is_is_learnt_on_images_out_of_the_fit():
    """On those of the fit it is always 0, so that all others would be very rare."""
    held_out = images()
    fitted = Combined((Farthest(),)).fit([held_out])
    assert np.median(fitted.score([images()])) < 3.0


def test_members_without_columns_are_left_out():
    combined = Combined((First(), Second()))
    only = images().without(["second"])
    assert combined.uses(only.column_names) == ("first",)
    assert combined.fit([only]).uses(images().column_names) == ("first",)
    assert np.all(np.isfinite(combined.fit([only]).score([only])))
    assert not combined.is_applicable([images().without(["first", "second"])])


def test_a_member_of_one_family_alone_is_not_asked_of_others():
    class OfFlows(Second):
        combined_with = ("log_det", "of_another_family")

        def uses(self, names):
            return tuple(name for name in ("second", "log_det") if name in names)

    combined = Combined((First(), OfFlows()))
    others = images()
    flows = with_columns(others, log_det=np.zeros(SIZE))
    assert combined.uses(others.column_names) == ("first",)
    assert combined.uses(flows.column_names) == ("first", "second", "log_det")
    assert combined.fit([others]).asked == ("first",)
    assert combined.fit([flows]).asked == ("first", "second")


def test_what_tells_a_family_is_no_column_that_a_member_must_take():
    class OfFlows(Second):
        combined_with = ("log_det",)

    combined, flows = Combined((First(), OfFlows())), with_columns(images(), log_det=np.zeros(SIZE))
    fitted = combined.fit([flows])
    assert fitted.asked == ("first", "second")
    assert combined.uses(flows.column_names) == fitted.uses(()) == ("first", "second", "log_det")
    assert combined.fit([images()]).asked == ("first",)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_enough_for_finite_scores(count):
    combined = Combined((First(), Second())).fit([images(count=count)])
    far = dataclasses.replace(images(count=2), log_prob=np.array([-1e6, 1e6]))
    assert np.all(np.isfinite(combined.score([far])))
