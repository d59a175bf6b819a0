"""The detector of scikit-learn: its conventions, by scikit-learn's own checks.

The checks fit dozens of times, so that a density that needs no training stands in for the model;
`test_run.py` has the model too.
"""

import dataclasses
import gc
import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.api.tiny import CONFIG, FOREIGN, OWN
from tfp_ood import ImageError, OutlierDetector, TrainingError, UserError
from tfp_ood.api import estimator as estimator_lib
from tfp_ood.detectors import conformal

RATE = 0.5  # of the few images that scikit-learn's checks have


class StandIn:
    """A run whose score is the squared distance from the mean image, in standard deviations."""

    def __init__(self, images, config):
        values = images.astype(np.float64)
        self.mean, self.scale = values.mean(0), values.std(0) + 1.0
        calibration = conformal.calibrate(self.score(images), config.export.false_alarm_rate)
        self.threshold = calibration.threshold

    @property
    def detector(self):
        return self

    def score(self, images):
        return np.square((images - self.mean) / self.scale).sum((1, 2, 3))


@pytest.fixture(name="stand_in")
def _stand_in(monkeypatch):
    made = lambda images, workdir, config, verbose: StandIn(images, config)  # noqa: E731
    monkeypatch.setattr(estimator_lib.fit_lib, "fit", made)


@pytest.mark.usefixtures("stand_in")
@parametrize_with_checks(
    [OutlierDetector(value_range=None, false_alarm_rate=RATE)],
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


def test_without_a_workdir_the_model_lives_as_long_as_its_estimator():
    made = OutlierDetector(config=CONFIG, false_alarm_rate=0.25).fit(OWN)
    folder = made.run_.workdir
    assert np.all(made.predict(FOREIGN) == -1) and (folder / "model").exists()
    pickled = pickle.dumps(made)
    del made
    gc.collect()
    assert not folder.exists()
    with pytest.raises(TrainingError, match=r"is gone.* other processes, needs one"):
        pickle.loads(pickled).predict(FOREIGN)


@pytest.mark.usefixtures("stand_in")
def test_images_and_flat_rows_are_the_same():
    flat = OWN.reshape(len(OWN), -1)
    by_row = OutlierDetector((8, 8, 1), false_alarm_rate=RATE).fit(flat)
    for images in (OWN, OWN[..., np.newaxis], OWN.astype(np.float64)):
        by_image = OutlierDetector(false_alarm_rate=RATE).fit(images)
        assert by_image.n_features_in_ == 64
        scores = by_image.score_samples(FOREIGN)
        np.testing.assert_array_equal(scores, by_row.score_samples(FOREIGN.reshape(10, -1)))
        np.testing.assert_array_equal(scores, by_image.score_samples(FOREIGN.reshape(10, -1)))


@pytest.mark.usefixtures("stand_in")
def test_values_from_0_to_1_are_images_too():
    by_level = OutlierDetector(false_alarm_rate=RATE).fit(OWN)
    by_share = OutlierDetector(value_range=(0.0, 1.0), false_alarm_rate=RATE).fit(OWN / 255.0)
    expected = by_level.score_samples(FOREIGN)
    np.testing.assert_array_equal(by_share.score_samples(FOREIGN / 255.0), expected)


WRONG = {
    "values": ({}, OWN.astype(int) - 1, r"got values from -1 to 62; valid is from 0 to 255"),
    "shape": (
        {"image_shape": (8, 7, 1)},
        OWN.reshape(60, -1),
        r"\[8, 7, 1\], of 56 values.*have 64",
    ),
    "shape of images": (
        {"image_shape": (4, 16, 1)},
        OWN,
        r"X: got images \[8, 8, 1\], but image_shape is \[4, 16, 1\]",
    ),
    "no shape": ({"image_shape": (8, 8)}, OWN, r"image_shape: got \(8, 8\); valid is \(height"),
    "one image": ({}, OWN[:1], "1 sample"),
    "long rows": (
        {},
        np.zeros((60, 784), np.uint8),
        r"image_shape: got None for rows of 784 values; valid is .*, such as \(28, 28, 1\)",
    ),
    "long rows of colours": ({}, np.zeros((60, 3072)), r"3,072 values; .* as \(32, 32, 3\)"),
    "long rows of no square": ({}, np.zeros((60, 70)), r"70 values; .*\(height, width, channels\)"),
    "fractions": ({}, OWN / 255.0, r"X: got floats from 0 to 0\.2.*value_range=\(0, 1\)"),
    "no images": ({}, "OWN", "array"),
}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("changes", "images", "said"), WRONG.values(), ids=WRONG)
def test_what_are_no_images_is_refused(changes, images, said):
    with pytest.raises(ValueError, match=said):
        OutlierDetector(**changes).fit(images)


@pytest.mark.usefixtures("stand_in")
def test_images_of_another_shape_than_those_of_the_fit_are_refused():
    fitted = OutlierDetector(false_alarm_rate=RATE).fit(OWN)
    with pytest.raises(ImageError, match=r"X: got images \[4, 16, 1\]; valid is \[8, 8, 1\]"):
        fitted.predict(OWN.reshape(60, 4, 16))


@pytest.mark.usefixtures("stand_in")
def test_fractions_are_refused_after_the_fit_too():
    fitted = OutlierDetector(false_alarm_rate=RATE).fit(OWN)
    with pytest.raises(
        ImageError, match=r"X: got floats from 0 to .* black with value_range=\(0, 2"
    ):
        fitted.predict(FOREIGN / 255.0)
    assert len(fitted.predict(np.ones([2, 8, 8]))) == 2  # dark, but whole numbers
    with pytest.raises(ImageError, match="X: got floats from 0 to 1, which are black"):
        fitted.fit((OWN > 30).astype(np.float64))


def test_fewer_images_than_the_rate_needs_are_refused_before_training(tmp_path):
    data = dataclasses.replace(CONFIG.data, out_of_distribution=("minst",))  # not looked at
    config = dataclasses.replace(CONFIG, data=data)
    made = OutlierDetector(config=config, workdir=str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"false_alarm_rate: got 0\.05; valid is at least 0\.112"):
        made.fit(OWN)
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.usefixtures("stand_in")
def test_what_has_no_number_for_a_score_is_an_outlier(monkeypatch):
    fitted = OutlierDetector(false_alarm_rate=RATE).fit(OWN)
    monkeypatch.setattr(fitted.run_, "score", lambda images: np.full(len(images), np.nan))
    assert np.all(fitted.predict(OWN) == -1)


@pytest.fixture(name="trained")
def _trained(stand_in, monkeypatch):
    """Images and config of every training."""
    seen = []

    def train(self, images, config):
        seen.append((images, config))
        return StandIn(images, config)

    monkeypatch.setattr(estimator_lib.OutlierDetector, "_train", train)
    return seen


def test_bytes_are_not_copied(trained):
    OutlierDetector(false_alarm_rate=RATE).fit(OWN)
    assert np.shares_memory(trained[0][0], OWN)


def test_a_seed_is_taken_as_anywhere_in_scikit_learn(trained):
    for state in (3, np.int64(3), np.random.RandomState(5), None):
        OutlierDetector(false_alarm_rate=RATE, random_state=state).fit(OWN)
    seeds = [config.seed for _, config in trained]
    assert seeds[:2] == [3, 3] and all(0 <= seed < 2**31 for seed in seeds)
