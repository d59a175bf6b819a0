"""The conformal test: how usual is the score of an image, among those of in-distribution images?

It thresholds the score of any detector (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random
World", 2005). Of N held-out images that the detector was not fitted to the scores are kept. Of a
new image that comes from where they came from, each rank among them is equally likely, so that with
the new image counted among its equals

    p = (1 + number not lower) / (N + 1)

is at most a with a chance of at most a, whatever the scores' distribution. Where both ends of a
score mean foreign, p is twice the smaller of this and the same for the lower end.

`verdicts` is in NumPy, for tables; `export.guard_graph` has the same in TensorFlow, for the
exported model.
"""

import dataclasses
import fractions
import math

import numpy as np

from tfp_ood.errors import ExportError
from tfp_ood.metrics.detection import checked

TIE = 1e-5
"""Share of a score by which two may differ and still be equal.

The log_prob of one and the same image differed by up to 2e-7 of itself between batch sizes (five
models of 28x28 pixels, float32); other computers round in other ways. Without this, the likelihood
of an image that occurs again and again, such as an empty page, would be above or below that of its
equals by chance."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the test knows."""

    scores: np.ndarray
    """float64 [N], ascending: of images that neither model nor detector was fitted to."""
    false_alarm_rate: float
    """The share of images of the same kind that may be flagged."""
    tails: str = "high"
    """Which scores are flagged: "high" ones, or those at "both" ends."""

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.scores)

    @property
    def num_tails(self) -> int:
        """How many ends of the scores are flagged."""
        return 2 if self.tails == "both" else 1

    @property
    def most_flagged(self) -> int:
        """The largest rank from an end (1 is beyond all) at which an image is flagged.

        An integer, so that p <= false_alarm_rate is not at the mercy of rounding.
        """
        rate = fractions.Fraction(str(self.false_alarm_rate))
        return math.floor(rate * (self.num_images + 1)) // self.num_tails

    @property
    def threshold(self) -> float:
        """The score above which an image is flagged, where high ones are: of "high" tails.

        Infinite where so few scores are known that nothing is flagged.
        """
        if self.most_flagged < 1:
            return math.inf
        score = float(self.scores[-self.most_flagged])
        return score / (1.0 - math.copysign(TIE, score))  # beyond what counts as equal to it


def measured(scores: np.ndarray, false_alarm_rate: float, tails: str = "high") -> Calibration:
    """`calibrate`, of however few images: a test of too few flags nothing.

    Raises:
      EvaluationError: there are none, or some are not finite.
    """
    return Calibration(np.sort(checked(scores, "held-out")), false_alarm_rate, tails)


def calibrate(scores: np.ndarray, false_alarm_rate: float, tails: str = "high") -> Calibration:
    """A test from the scores of held-out images.

    Args:
      scores: [N], higher = more out-of-distribution.
      false_alarm_rate: see `Calibration`.
      tails: see `Calibration`.

    Raises:
      EvaluationError: there are none, or some are not finite.
      ExportError: they are too few for any image to be flagged at this rate.
    """
    calibration = measured(scores, false_alarm_rate, tails)
    if calibration.most_flagged < 1:
        lowest, fewest = limits(calibration.num_images, false_alarm_rate, tails)
        raise ExportError(
            f"config.export.false_alarm_rate: {false_alarm_rate} with "
            f"{calibration.num_images:,} validation "
            "images to set the threshold (the other half fits the detectors) would flag nothing; "
            f"valid is at least {lowest:g}, or train a new model with at least {2 * fewest - 1:,} "
            "validation images (config.data.num_validation, and images enough to hold them out)."
        )
    return calibration


def limits(num_images: int, false_alarm_rate: float, tails: str = "high") -> tuple[float, int]:
    """Whether a test could flag anything.

    Args:
      num_images: that would set its threshold.
      false_alarm_rate: see `Calibration`.
      tails: see `Calibration`.

    Returns:
      The lowest rate, of three digits, at which it could, and how few images are enough for this
      rate.
    """
    num_tails = 2 if tails == "both" else 1
    lowest = fractions.Fraction(num_tails, num_images + 1)
    digits = fractions.Fraction(10) ** (2 - math.floor(math.log10(lowest)))
    fewest = math.ceil(num_tails / fractions.Fraction(str(false_alarm_rate))) - 1
    return float(math.ceil(lowest * digits) / digits), fewest


def verdicts(calibration: Calibration, scores: np.ndarray) -> dict[str, np.ndarray]:
    """What the test says of images with these scores.

    Args:
      calibration: of the same detector.
      scores: [M]; NaN is taken for higher than all.

    Returns:
      percentile: float32 [M], the share of held-out images with a lower score, in percent, ties
        counting half.
      p_value: float32 [M], p as above, in (0, 1].
      is_out_of_distribution: bool [M], whether p is at most the false-alarm rate.
    """
    above, not_below = _ranks(calibration, scores)
    count = calibration.num_images
    rank = _rank(calibration, above, not_below)
    p_value = _p_values(calibration, rank)
    return {
        "percentile": (100.0 - 100.0 * (above + not_below) / (2 * count)).astype(np.float32),
        "p_value": p_value.astype(np.float32),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }


def p_values(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    """The p-values of `verdicts` in float64, for arithmetic on fractions."""
    return _p_values(calibration, _rank(calibration, *_ranks(calibration, scores)))


def _p_values(calibration: Calibration, rank: np.ndarray) -> np.ndarray:
    return np.minimum(1.0, calibration.num_tails * rank / (calibration.num_images + 1))


def _rank(calibration: Calibration, above: np.ndarray, not_below: np.ndarray) -> np.ndarray:
    """The rank from the nearest end that counts: 1 is beyond all."""
    if calibration.tails == "both":
        return np.minimum(1 + not_below, 1 + calibration.num_images - above)
    return 1 + not_below


def _ranks(calibration: Calibration, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many held-out scores are higher, and how many are not lower: int [M] each."""
    values = np.asarray(scores, np.float64)
    values = np.where(np.isnan(values), np.inf, values)
    slack = np.where(np.isfinite(values), TIE * np.abs(values), 0.0)
    count = calibration.num_images
    above = count - np.searchsorted(calibration.scores, values + slack, "right")
    return above, count - np.searchsorted(calibration.scores, values - slack, "left")
