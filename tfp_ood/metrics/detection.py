"""How well a score tells foreign images from the model's own."""

import math

import numpy as np
from sklearn import metrics as sk_metrics

from tfp_ood.errors import EvaluationError

CAUGHT = 0.95
"""The share of the positive images that must be caught, or accepted, for FPR95."""

EXACT = 1e-9
"""Slack of comparisons with 1 - 0.95, which is not 0.05 in binary."""

_TWO_SIDED_95 = 1.959964  # standard deviations of a normal that hold 95 % of it


def detection_metrics(in_scores: np.ndarray, out_scores: np.ndarray) -> dict[str, float]:
    """AUROC, and AUPRC and FPR95 with either set as positive.

    Two lineages of papers differ in what is "positive", and so are these, by `_out` and `_in`.
    Where it is the out-of-distribution set (Hendrycks et al.; OpenOOD, pytorch-ood), FPR95 is the
    share of *in-distribution* images that are flagged when the threshold catches at least 95 % of
    the *out-of-distribution* images. The other lineage (ODIN) accepts at least 95 % of the
    in-distribution images, and FPR95 is the share of out-of-distribution images accepted with
    them. AUROC is the same in both. AUPRC depends on the sizes of the sets.

    Args:
      in_scores: [N] scores of in-distribution images, higher = more out-of-distribution.
      out_scores: [M] scores of out-of-distribution images.

    Returns:
      auroc: chance that a foreign image scores above one of the model's own; ties count half.
      auprc_out: average precision, out-of-distribution positive; by chance M / (N + M).
      auprc_in: average precision, in-distribution positive; by chance N / (N + M).
      fpr95: see above, out-of-distribution positive; lower is better.
      fpr95_in: see above, in-distribution positive; lower is better.

    Raises:
      EvaluationError: a set is empty or has scores that are not finite.
    """
    is_out, scores = joined(in_scores, out_scores)
    # drop_intermediate would leave out thresholds on the straight parts of the curve, and with
    # them the first that catches enough.
    flagged, caught, _ = sk_metrics.roc_curve(is_out, scores, drop_intermediate=False)
    return {
        "auroc": float(sk_metrics.roc_auc_score(is_out, scores)),
        "auprc_out": float(sk_metrics.average_precision_score(is_out, scores)),
        "auprc_in": float(sk_metrics.average_precision_score(1 - is_out, -scores)),
        "fpr95": float(flagged[np.argmax(caught >= CAUGHT)]),
        # The last threshold that flags few enough: thresholds fall.
        "fpr95_in": float(1.0 - caught[np.flatnonzero(flagged <= 1.0 - CAUGHT + EXACT)[-1]]),
    }


def roc(in_scores: np.ndarray, out_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve, out-of-distribution positive; its area is the AUROC.

    Returns:
      Two arrays [T] from 0 to 1: the share of in-distribution images that a falling threshold
      flags, and the share of out-of-distribution images that it catches.

    Raises:
      EvaluationError: as `detection_metrics`.
    """
    flagged, caught, _ = sk_metrics.roc_curve(*joined(in_scores, out_scores))
    return flagged, caught


def share_interval(number: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `number` of `count` were seen (Wilson, 1927)."""
    share, z2 = number / count, _TWO_SIDED_95**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    spread = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return max(0.0, middle - spread), min(1.0, middle + spread)


def joined(in_scores: np.ndarray, out_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets as one: 1 for an out-of-distribution image and 0 for others, and float64 scores.

    Raises:
      EvaluationError: as `checked`.
    """
    sets = checked(in_scores, "in-distribution"), checked(out_scores, "out-of-distribution")
    return np.repeat([0, 1], [*map(len, sets)]), np.concatenate(sets)


def checked(scores: np.ndarray, which: str) -> np.ndarray:
    """The scores as float64 [N].

    Args:
      scores: of a set.
      which: the set, for messages.

    Raises:
      EvaluationError: there are none, or some are not finite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not scores.size:
        raise EvaluationError(f"The {which} scores have shape {scores.shape}; valid is [N], N > 0.")
    num_bad = int(np.sum(~np.isfinite(scores)))
    if num_bad:
        raise EvaluationError(f"{num_bad:,} of {scores.size:,} {which} scores are not finite.")
    return scores
