"""The conformal test in a graph (`detectors.conformal`), for the exported model."""

import math

import tensorflow as tf

from tfp_ood.detectors.conformal import TIE, Calibration


def verdict_tensors(calibration: Calibration, scores: tf.Tensor) -> dict[str, tf.Tensor]:
    """`conformal.verdicts` in a graph, with the held-out scores as a constant.

    Args:
      calibration: of the detector that the scores are of.
      scores: float32 `[M]`.

    Returns:
      As `conformal.verdicts`.
    """
    sorted_scores = tf.constant(calibration.scores)
    values = tf.where(tf.math.is_nan(scores), math.inf, scores)
    slack = tf.where(tf.math.is_finite(values), TIE * tf.abs(values), 0.0)
    count = calibration.num_images
    above = count - tf.searchsorted(sorted_scores, values + slack, "right")
    not_below = count - tf.searchsorted(sorted_scores, values - slack, "left")
    rank = 1 + tf.minimum(not_below, count - above)
    return {
        "percentile": 100.0 * tf.cast(above + not_below, tf.float32) / (2.0 * count),
        "typicality_p_value": tf.minimum(1.0, 2.0 * tf.cast(rank, tf.float32) / (count + 1.0)),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }
