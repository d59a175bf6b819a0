"""Typicality: is the likelihood as high as it usually is?"""

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors.base import FittedDetector


class Typicality(FittedDetector):
    """|-log p(x) - H|, H the mean of -log p over held-out images: nats per image.

    Nalisnick et al., "Detecting out-of-distribution inputs to deep generative models using
    typicality", 2019, equation 5, for single images. It costs nothing beyond the likelihood. High
    means foreign. Blind to foreign images whose likelihood is usual.
    """

    name = "typicality"
    title = "Typicality"

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Keeps H."""
        self._entropy = -float(np.mean(columns["log_prob"]))

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The distance to H."""
        return xp.abs(-columns["log_prob"] - self._entropy)
