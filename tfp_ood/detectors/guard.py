"""The guard: a decision for every image, by the combined detector, with its reasons."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tfp_ood.detectors import conformal
from tfp_ood.detectors.base import Detector
from tfp_ood.detectors.conformal import Calibration
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics.detection import share_interval

REASON_SEPARATOR = "; "
"""Between the reasons of an image, in an exported guard's words."""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a guard says of the M images of a set."""

    score: np.ndarray
    """float64 [M]: the combined score, higher is more out-of-distribution."""
    p_value: np.ndarray
    """float32 [M], in (0, 1]."""
    flagged: np.ndarray
    """bool [M]."""
    beyond_likelihood: np.ndarray
    """bool [M]: what a threshold on low likelihood, at the same false-alarm rate, would flag."""
    fired: Mapping[str, np.ndarray]
    """Detector -> int8 [M]: 1 where its own score is too high at this rate, -1 where it is too low
    and that counts, 0 elsewhere."""

    @property
    def share_flagged_interval(self) -> tuple[float, float]:
        """95 % interval of the share that is flagged (`metrics.detection.share_interval`)."""
        return share_interval(int(np.sum(self.flagged)), len(self.flagged))


@dataclasses.dataclass(frozen=True)
class Test:
    """A fitted detector and the conformal test of its scores."""

    detector: Detector
    calibration: Calibration

    def verdicts(self, tables: Sequence[ScoreTable]) -> dict[str, np.ndarray]:
        """`conformal.verdicts` of a set of images."""
        return conformal.verdicts(self.calibration, self.detector.score(tables))


@dataclasses.dataclass(frozen=True)
class Guard:
    """The test that decides, and those that say why."""

    combined: Test
    likelihood: Test
    """Of low likelihood alone, to compare with."""
    reasons: Mapping[str, Test]
    """By detector: the members of the combination and likelihood."""

    def judge(self, tables: Sequence[ScoreTable]) -> Judgement:
        """Judges a set of images, from one table for each model."""
        scores = self.combined.detector.score(tables)
        found = conformal.verdicts(self.combined.calibration, scores)
        return Judgement(
            scores,
            found["p_value"],
            found["is_out_of_distribution"],
            self.likelihood.verdicts(tables)["is_out_of_distribution"],
            {name: _tails(test.verdicts(tables)) for name, test in self.reasons.items()},
        )


def _tails(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """See `Judgement.fired`."""
    sides = np.where(found["percentile"] > 50.0, 1, -1)
    return np.where(found["is_out_of_distribution"], sides, 0).astype(np.int8)


def guard(
    combined: Detector,
    likelihood: Detector,
    members: Collection[Detector],
    held_out: Sequence[ScoreTable],
    false_alarm_rate: float,
) -> Guard:
    """The guard of fitted detectors.

    Args:
      combined: decides.
      likelihood: what it is compared with.
      members: give the reasons, with `likelihood`.
      held_out: in-distribution images that no weight was trained on and no detector fitted to.
      false_alarm_rate: share of in-distribution images that may be flagged.

    Raises:
      EvaluationError: scores that are not finite.
      ExportError: too few images for any to be flagged at this rate.
    """

    def decides(detector: Detector) -> Test:
        scores = detector.score(held_out)
        return Test(detector, conformal.calibrate(scores, false_alarm_rate))

    def explains(detector: Detector) -> Test:
        # Both tails need twice the images; where there are too few, this one gives no reasons.
        scores = detector.score(held_out)
        return Test(detector, conformal.measured(scores, false_alarm_rate, detector.tails))

    reasons = {one.name: explains(one) for one in (*members, likelihood)}
    return Guard(decides(combined), decides(likelihood), reasons)
