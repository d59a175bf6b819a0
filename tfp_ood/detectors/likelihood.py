"""The likelihood itself: what the paper shows to fail."""

import types
from collections.abc import Mapping
from typing import Any

from tfp_ood.detectors.base import ColumnDetector


class Likelihood(ColumnDetector):
    """-log p(x), nats per image: what the model finds unlikely is out-of-distribution.

    Blind to images that are likelier than the model's own, such as simple ones (Nalisnick et al.,
    2019).
    """

    name = "log_prob"
    title = "Likelihood"
    tails = "both"

    def reason(self, is_high: bool) -> str:
        """Of -log p(x)."""
        return "too unlikely" if is_high else "too likely"

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """-log p(x) of arrays or tensors, [N]."""
        return -columns["log_prob"]
