"""The conformal test: how usual is the score of an image, among those of in-distribution images?

It thresholds the score of any detector (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random
World", 2005). Of N held-out images the scores are kept. Of a new image that comes from where they
came from, each rank among them is equally likely, so that with the new image counted among its
equals

    p = 2 min(1 + number not higher, 1 + number not lower) / (N + 1)

is at most a with a chance of at most a, whatever the scores' distribution. Both ends count:
out-of-distribution images are often too likely, which a threshold on low likelihood lets through.

`verdicts` is in NumPy, for tables; `export.guard_graph` has the same in TensorFlow, for the
exported model. `Guard` holds a detector and its test together.
"""

import dataclasses
import fractions
import math
from collections.abc import Sequence

import numpy as np

from tfp_ood.detectors.base import Detector
from tfp_ood.errors import ExportError
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics.detection import checked, share_interval

TIE = np.float32(1e-5)
"""Share of a score by which two may differ and still be equal.

The log_prob of one and the same image differed by up to 2e-7 of itself between batch sizes (five
models of 28x28 pixels, float32); other computers round in other ways. Without this, the likelihood
of an image that occurs again and again, such as an empty page, would be above or below that of its
equals by chance."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the test knows."""

    scores: np.ndarray
    """float32 [N], ascending: of images that the model was not trained on."""
    false_alarm_rate: float
    """The share of images of the same kind that may be flagged."""

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.scores)

    @property
    def most_flagged(self) -> int:
        """The largest rank from an end (1 is beyond all) at which an image is flagged.

        An integer, so that p <= false_alarm_rate is not at the mercy of rounding.
        """
        return self.most_flagged_of_one_end // 2

    @property
    def most_flagged_of_one_end(self) -> int:
        """The same where only the upper end is looked at, at the same false-alarm rate."""
        rate = fractions.Fraction(str(self.false_alarm_rate))
        return math.floor(rate * (self.num_images + 1))


def calibrate(scores: np.ndarray, false_alarm_rate: float) -> Calibration:
    """A test from the scores of held-out images.

    Args:
      scores: [N], higher = more out-of-distribution.
      false_alarm_rate: see `Calibration`.

    Raises:
      EvaluationError: there are none, or some are not finite.
      ExportError: they are too few for any image to be flagged at this rate.
    """
    values = np.sort(checked(scores, "held-out").astype(np.float32))
    calibration = Calibration(values, false_alarm_rate)
    if calibration.most_flagged < 1:
        fewest = math.ceil(2 / fractions.Fraction(str(false_alarm_rate))) - 1
        lowest = 2 / (len(values) + 1)
        raise ExportError(
            f"config.export.false_alarm_rate: {false_alarm_rate} with {len(values):,} validation "
            f"images would flag nothing; valid is at least {lowest:.3g}, or train a new model with "
            f"at least {fewest:,} validation images (config.data.num_validation)."
        )
    return calibration


def verdicts(calibration: Calibration, scores: np.ndarray) -> dict[str, np.ndarray]:
    """What the test says of images with these scores.

    Args:
      calibration: of the same detector.
      scores: [M]; NaN is taken for higher than all.

    Returns:
      percentile: float32 [M], the share of held-out images with a higher score, in percent, ties
        counting half: of likelihood, 0 is unlikelier than all and 100 likelier than all.
      typicality_p_value: float32 [M], p as above, in (0, 1].
      is_out_of_distribution: bool [M], whether p is at most the false-alarm rate.
    """
    above, not_below = _ranks(calibration, scores)
    count = calibration.num_images
    rank = 1 + np.minimum(not_below, count - above)
    return {
        "percentile": (100.0 * (above + not_below) / (2 * count)).astype(np.float32),
        "typicality_p_value": np.minimum(1.0, 2.0 * rank / (count + 1)).astype(np.float32),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }


def too_high(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    """What a threshold on the score alone, at the same false-alarm rate, would flag: bool [M].

    Args:
      calibration: of the same detector.
      scores: [M]; NaN is taken for higher than all.
    """
    _, not_below = _ranks(calibration, scores)
    return 1 + not_below <= calibration.most_flagged_of_one_end


def _ranks(calibration: Calibration, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many held-out scores are higher, and how many are not lower: int [M] each."""
    values = np.asarray(scores, np.float32)
    values = np.where(np.isnan(values), np.float32(np.inf), values)
    slack = np.where(np.isfinite(values), TIE * np.abs(values), np.float32(0.0))
    count = calibration.num_images
    above = count - np.searchsorted(calibration.scores, values + slack, "right")
    return above, count - np.searchsorted(calibration.scores, values - slack, "left")


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a guard says of the M images of a set; of likelihood, "high" is unlikely."""

    beyond_threshold: np.ndarray
    """bool [M]: what a threshold on the score alone would flag (`too_high`)."""
    too_low: np.ndarray
    """bool [M]: what the guard flags for a score below the held-out median."""
    too_high: np.ndarray
    """bool [M]: what it flags for another score."""

    @property
    def flagged(self) -> np.ndarray:
        """bool [M]: what the guard flags, at both ends."""
        return self.too_low | self.too_high

    @property
    def share_flagged_interval(self) -> tuple[float, float]:
        """95 % interval of the share that is flagged (`metrics.detection.share_interval`)."""
        return share_interval(int(np.sum(self.flagged)), len(self.flagged))


@dataclasses.dataclass(frozen=True)
class Guard:
    """A fitted detector and the test of its scores."""

    detector: Detector
    calibration: Calibration

    def judge(self, tables: Sequence[ScoreTable]) -> Judgement:
        """Judges a set of images, from one table for each model."""
        scores = self.detector.score(tables)
        found = verdicts(self.calibration, scores)
        flagged, is_low = found["is_out_of_distribution"], found["percentile"] > 50.0
        beyond = too_high(self.calibration, scores)
        return Judgement(beyond, flagged & is_low, flagged & ~is_low)


def guard(detector: Detector, held_out: Sequence[ScoreTable], false_alarm_rate: float) -> Guard:
    """Fits a detector on held-out images, and the test of its scores.

    Args:
      detector: not fitted.
      held_out: in-distribution images that no weight was trained on, one table for each model.
      false_alarm_rate: share of in-distribution images that may be flagged.

    Raises:
      EvaluationError: scores that are not finite.
      ExportError: too few images for any to be flagged at this rate.
    """
    fitted = detector.fit(held_out)
    return Guard(fitted, calibrate(fitted.score(held_out), false_alarm_rate))
