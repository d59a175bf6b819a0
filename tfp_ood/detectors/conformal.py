"""The guard: how usual is the likelihood of an image, among those of the model's own images?

A conformal test (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005). Of N
held-out images the likelihoods are kept. Of a new image that comes from where they came from, each
rank among them is equally likely, so that with the new image counted among its equals

    p = 2 min(1 + number not likelier, 1 + number not unlikelier) / (N + 1)

is at most a with a chance of at most a, whatever the likelihoods' distribution. Both ends count:
foreign images are often too likely, which a threshold on low likelihood lets through.

`verdicts` is in NumPy, for tables; `export.guard_graph` has the same in TensorFlow, for the
exported model.
"""

import dataclasses
import fractions
import math

import numpy as np

from tfp_ood.errors import ExportError
from tfp_ood.metrics.detection import checked

TIE = np.float32(1e-5)
"""Share of a likelihood by which two may differ and still be equal.

The log_prob of one and the same image differed by up to 2e-7 of itself between batch sizes (five
models of 28x28 pixels, float32); other computers round in other ways. Without this, the likelihood
of an image that occurs again and again, such as an empty page, would be above or below that of its
equals by chance."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the guard knows."""

    log_probs: np.ndarray
    """float32 [N], nats per image, ascending: of images that the model was not trained on."""
    false_alarm_rate: float
    """The share of images of the same kind that may be flagged."""

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.log_probs)

    @property
    def most_flagged(self) -> int:
        """The largest rank from an end (1 is beyond all) at which an image is flagged.

        An integer, so that p <= false_alarm_rate is not at the mercy of rounding.
        """
        rate = fractions.Fraction(str(self.false_alarm_rate))
        return math.floor(rate * (self.num_images + 1) / 2)

    @property
    def most_flagged_of_one_end(self) -> int:
        """The same where only the unlikely end is looked at, at the same false-alarm rate."""
        rate = fractions.Fraction(str(self.false_alarm_rate))
        return math.floor(rate * (self.num_images + 1))


def calibrate(log_probs: np.ndarray, false_alarm_rate: float) -> Calibration:
    """A guard from the likelihoods of held-out images.

    Args:
      log_probs: [N], nats per image.
      false_alarm_rate: see `Calibration`.

    Raises:
      EvaluationError: there are none, or some are not finite.
      ExportError: they are too few for any image to be flagged at this rate.
    """
    values = np.sort(checked(log_probs, "held-out").astype(np.float32))
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


def verdicts(calibration: Calibration, log_prob: np.ndarray) -> dict[str, np.ndarray]:
    """What the guard says of images with these likelihoods.

    Args:
      calibration: the guard.
      log_prob: [M], nats per image; NaN is taken for unlikelier than all.

    Returns:
      percentile: float32 [M], of the likelihood among the held-out ones: 0 is unlikelier than all,
        100 likelier than all; ties count half.
      typicality_p_value: float32 [M], p as above, in (0, 1].
      is_out_of_distribution: bool [M], whether p is at most the false-alarm rate.
    """
    below, not_above = _ranks(calibration, log_prob)
    count = calibration.num_images
    rank = 1 + np.minimum(not_above, count - below)
    return {
        "percentile": (100.0 * (below + not_above) / (2 * count)).astype(np.float32),
        "typicality_p_value": np.minimum(1.0, 2.0 * rank / (count + 1)).astype(np.float32),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }


def too_unlikely(calibration: Calibration, log_prob: np.ndarray) -> np.ndarray:
    """What a threshold on low likelihood alone, at the same false-alarm rate, would flag: bool [M].

    Args:
      calibration: the guard.
      log_prob: [M], nats per image; NaN is taken for unlikelier than all.
    """
    _, not_above = _ranks(calibration, log_prob)
    return 1 + not_above <= calibration.most_flagged_of_one_end


def _ranks(calibration: Calibration, log_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many held-out images are unlikelier, and how many are not likelier: int [M] each."""
    values = np.asarray(log_prob, np.float32)
    values = np.where(np.isnan(values), np.float32(-np.inf), values)
    slack = np.where(np.isfinite(values), TIE * np.abs(values), np.float32(0.0))
    below = np.searchsorted(calibration.log_probs, values - slack, "left")
    return below, np.searchsorted(calibration.log_probs, values + slack, "right")
