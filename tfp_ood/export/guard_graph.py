"""The guard in a graph (`evaluation.guard`), for the exported model."""

import math

import tensorflow as tf

from tfp_ood.detectors.conformal import TIE, Calibration


def verdict_tensors(calibration: Calibration, log_prob: tf.Tensor) -> dict[str, tf.Tensor]:
    """`guard.verdicts` in a graph, with the held-out likelihoods as a constant.

    Args:
      calibration: the guard.
      log_prob: float32 `[M]`.

    Returns:
      As `guard.verdicts`.
    """
    sorted_log_probs = tf.constant(calibration.log_probs)
    values = tf.where(tf.math.is_nan(log_prob), -math.inf, log_prob)
    slack = tf.where(tf.math.is_finite(values), TIE * tf.abs(values), 0.0)
    below = tf.searchsorted(sorted_log_probs, values - slack, "left")
    not_above = tf.searchsorted(sorted_log_probs, values + slack, "right")
    count = calibration.num_images
    rank = 1 + tf.minimum(not_above, count - below)
    return {
        "percentile": 100.0 * tf.cast(below + not_above, tf.float32) / (2.0 * count),
        "typicality_p_value": tf.minimum(1.0, 2.0 * tf.cast(rank, tf.float32) / (count + 1.0)),
        "is_out_of_distribution": rank <= calibration.most_flagged,
    }
