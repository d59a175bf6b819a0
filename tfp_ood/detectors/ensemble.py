"""Several trained models of one config as one detector, from their score tables."""

from collections.abc import Sequence

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import SET_KEYS, ScoreTable

SCORES = ("mean", "variance", "waic")
"""What `scores` computes."""


def scores(tables: Sequence[ScoreTable]) -> dict[str, np.ndarray]:
    """OOD scores of one set under E models that differ in their seed: higher = more foreign.

    With log p_e(x) of model e, mean and variance over e (divided by E), Choi et al., 2018, "WAIC,
    but why?", equation 2:

        WAIC(x) = E_e[log p_e(x)] - Var_e[log p_e(x)]

    Args:
      tables: of the same images, one of each model, E >= 2.

    Returns:
      float64 [N] each: `mean` is -E_e[log p_e] in nats, `variance` Var_e[log p_e] in nats^2, and
      `waic` their sum, -WAIC.

    Raises:
      EvaluationError: the tables are not of the same images.
    """
    first = tables[0]
    for table in tables[1:]:
        if any(first.metadata[key] != table.metadata[key] for key in SET_KEYS):
            raise EvaluationError(
                f"The models of an ensemble were scored on different images of {first.key}; "
                "evaluate all with the same config.data."
            )
    log_prob = np.stack([table.log_prob for table in tables])
    mean, variance = log_prob.mean(0), log_prob.var(0)
    return {"mean": -mean, "variance": variance, "waic": variance - mean}
