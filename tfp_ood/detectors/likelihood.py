"""The likelihood itself: what the paper shows to fail."""

import numpy as np

from tfp_ood.evaluation.tables import ScoreTable


def negative_log_prob(table: ScoreTable) -> np.ndarray:
    """-log p(x), nats per image, float64 [N]: what the model finds unlikely is foreign."""
    return -table.log_prob
