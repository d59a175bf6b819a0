"""Several trained models of one config as one detector.

With log p_e(x) of model e, mean and variance over e (divided by E), Choi et al., 2018, "WAIC, but
why?", equation 2:

    WAIC(x) = E_e[log p_e(x)] - Var_e[log p_e(x)]
"""

from collections.abc import Sequence

import numpy as np

from tfp_ood.detectors.base import Detector, check_same_images
from tfp_ood.evaluation.tables import ScoreTable


def _log_prob(tables: Sequence[ScoreTable]) -> np.ndarray:
    """float64 [E, N], nats per image.

    Raises:
      EvaluationError: the tables are not of the same images.
    """
    check_same_images(tables)
    return np.stack([table.log_prob for table in tables])


class Mean(Detector):
    """-E_e[log p_e(x)] in nats: likelihood, with less of the luck of one training."""

    name, title, of_ensembles = "mean", "mean of log p", True

    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """float64 [N] from the tables of E >= 2 models."""
        return -_log_prob(tables).mean(0)


class Disagreement(Detector):
    """Var_e[log p_e(x)] in nats^2: what the models disagree on."""

    name, title, of_ensembles = "disagreement", "disagreement, variance of log p", True

    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """float64 [N] from the tables of E >= 2 models."""
        return _log_prob(tables).var(0)


class WAIC(Detector):
    """-WAIC(x), see above."""

    name, title, of_ensembles = "waic", "WAIC, mean minus variance", True

    def score(self, tables: Sequence[ScoreTable]) -> np.ndarray:
        """float64 [N] from the tables of E >= 2 models."""
        log_prob = _log_prob(tables)
        return log_prob.var(0) - log_prob.mean(0)
