"""OOD scores, one file each: a score table -> float64 [N], higher = more out-of-distribution.

The keys of `SCORES` are the names in `summary.json`.
"""

from collections.abc import Callable

import numpy as np

from tfp_ood.detectors.likelihood import negative_log_prob
from tfp_ood.evaluation.tables import ScoreTable

SCORES: dict[str, Callable[[ScoreTable], np.ndarray]] = {"log_prob": negative_log_prob}
