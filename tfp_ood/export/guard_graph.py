"""The guard in a graph (`detectors.guard`, `detectors.conformal`), for the exported model.

All arithmetic is in float64, as in NumPy, so that both come to the same decisions.
"""

import math
import re
from collections.abc import Mapping

import tensorflow as tf

from tfp_ood.detectors import LIKELIHOOD, ColumnDetector
from tfp_ood.detectors.conformal import TIE, Calibration
from tfp_ood.detectors.guard import REASON_SEPARATOR, Guard, Test
from tfp_ood.errors import ExportError

Tensors = dict[str, tf.Tensor]


def judgement_tensors(guard: Guard, columns: Mapping[str, tf.Tensor]) -> Tensors:
    """What a guard says of N images, from the columns that a graph tells of them.

    Args:
      guard: fitted.
      columns: name -> `[N]`, of any float type; more than needed or not.

    Returns:
      percentile: float32 `[N]`, that of the likelihood among held-out images: 0 for an image that
        is unlikelier than all of them, 100 for one that is likelier.
      score: float32 `[N]`, the combined one.
      p_value: float32 `[N]`, its conformal p-value.
      is_out_of_distribution: bool `[N]`.
      reasons: string `[N]`, the `Detector.reason` of each that fires, joined.
      p_value.NAME: float32 `[N]`, that of each detector which gives reasons.

    Raises:
      ExportError: a detector needs a column that is not there, or is no `ColumnDetector`.
    """
    values = {name: tf.cast(tensor, tf.float64) for name, tensor in columns.items()}
    score = _score(guard.combined, values)
    combined = verdict_tensors(guard.combined.calibration, score)
    alone = {
        name: verdict_tensors(test.calibration, _score(test, values))
        for name, test in guard.reasons.items()
    }
    return {
        "percentile": 100.0 - alone[LIKELIHOOD]["percentile"],
        "score": tf.cast(score, tf.float32),
        "p_value": combined["p_value"],
        "is_out_of_distribution": combined["is_out_of_distribution"],
        "reasons": _words(guard, alone),
        **{f"p_value.{name}": found["p_value"] for name, found in alone.items()},
    }


def verdict_tensors(calibration: Calibration, scores: tf.Tensor) -> Tensors:
    """`conformal.verdicts` in a graph, with the held-out scores as a constant.

    Args:
      calibration: of the detector that the scores are of.
      scores: `[M]`, of any float type.

    Returns:
      As `conformal.verdicts`.
    """
    sorted_scores = tf.constant(calibration.scores, tf.float64)
    values = tf.cast(scores, tf.float64)
    values = tf.where(tf.math.is_nan(values), tf.constant(math.inf, tf.float64), values)
    slack = tf.where(tf.math.is_finite(values), TIE * tf.abs(values), 0.0)
    count = calibration.num_images
    above = count - tf.searchsorted(sorted_scores, values + slack, "right")
    not_below = count - tf.searchsorted(sorted_scores, values - slack, "left")
    rank = 1 + not_below
    if calibration.tails == "both":
        rank = tf.minimum(rank, 1 + count - above)
    p_value = tf.cast(calibration.num_tails * rank, tf.float64) / (count + 1)
    lower = tf.cast(2 * count - above - not_below, tf.float64) / (2 * count)
    return {
        "percentile": tf.cast(100.0 * lower, tf.float32),
        "p_value": tf.cast(tf.minimum(p_value, 1.0), tf.float32),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }


def _score(test: Test, columns: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The score of a test's detector, float64 `[N]`."""
    detector = test.detector
    if not isinstance(detector, ColumnDetector):
        raise ExportError(
            f"The detector {detector.name} cannot be exported: its score is no arithmetic on "
            "columns (detectors.ColumnDetector)."
        )
    uses = detector.uses(columns)
    if missing := sorted(set(uses or detector.missing(columns)) - set(columns)):
        raise ExportError(
            f"The guard cannot be exported: its detector {detector.name} needs "
            f"{', '.join(missing)}, which the exported model does not tell."
        )
    return detector.of_columns({name: columns[name] for name in uses}, tf.experimental.numpy)


def _words(guard: Guard, found: Mapping[str, Tensors]) -> tf.Tensor:
    """The reasons of each image, from the verdicts of each detector."""
    parts = []
    for name, test in guard.reasons.items():
        high, low = (REASON_SEPARATOR + test.detector.reason(is_high) for is_high in (True, False))
        told = tf.where(found[name]["percentile"] > 50.0, high, low)
        parts.append(tf.where(found[name]["is_out_of_distribution"], told, ""))
    return tf.strings.regex_replace(tf.strings.join(parts), f"^{re.escape(REASON_SEPARATOR)}", "")
