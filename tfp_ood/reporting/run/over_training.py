"""Likelihood against training progress: is the gap there early, and does it go away?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood.metrics.bootstrap import intervals
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.trajectory import Scored

_NUM_RESAMPLES = 200  # at every checkpoint: half the digits of the table's intervals


def over_training(
    steps: Mapping[int, Mapping[str, Scored]], own: str, others: Sequence[str]
) -> dict[str, Any] | None:
    """Likelihoods of the watched images at every checkpoint.

    Args:
      steps: of `progress.read`.
      own: key of the in-distribution set.
      others: keys of foreign sets; those that were not watched at all are left out.

    Returns:
      None where nothing was watched; or `steps`, int [T], those that have all sets and finite
      likelihoods only; and `sets`, key -> `num_images`; `mean`, `low`, `high`: mean, 5th and 95th
      percentile of bits/dim, [T] each;
      and of foreign sets `auroc` [T], `auroc_interval` [T, 2] and `prefers_from`, the step from
      which on likelihood prefers the foreign images at every checkpoint (AUROC below 0.5 with
      its whole interval), None if it does not at the last one.
    """
    watched = {key for sets in steps.values() for key in sets}
    keys = [key for key in (own, *others) if key in watched]
    shown = [step for step in sorted(steps) if _is_whole(steps[step], keys)]
    if own not in keys or len(keys) < 2 or not shown:
        return None
    found = {key: _bits([steps[step][key].bits_per_dim for step in shown]) for key in keys}
    for key in keys[1:]:
        found[key] |= _detection([(steps[step][own], steps[step][key]) for step in shown], shown)
    return {"steps": shown, "sets": found}


def _is_whole(sets: Mapping[str, Scored], keys: Sequence[str]) -> bool:
    """Whether a checkpoint has all sets, with likelihoods that are numbers."""
    return all(key in sets and np.all(np.isfinite(sets[key].log_prob)) for key in keys)


def _bits(bits: Sequence[np.ndarray]) -> dict[str, Any]:
    return {
        "num_images": len(bits[-1]),
        "mean": [float(np.mean(values)) for values in bits],
        "low": [float(np.percentile(values, 5)) for values in bits],
        "high": [float(np.percentile(values, 95)) for values in bits],
    }


def _detection(pairs: Sequence[tuple[Scored, Scored]], steps: Sequence[int]) -> dict[str, Any]:
    scores = [(-own.log_prob, -other.log_prob) for own, other in pairs]
    ends = [intervals(*pair, num_resamples=_NUM_RESAMPLES)["auroc"] for pair in scores]
    prefers_from = None
    for step, (_, high) in zip(reversed(steps), reversed(ends), strict=True):
        if high >= 0.5:
            break
        prefers_from = step
    return {
        "auroc": [detection_metrics(*pair)["auroc"] for pair in scores],
        "auroc_interval": ends,
        "prefers_from": prefers_from,
    }
