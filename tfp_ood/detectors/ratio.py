"""Likelihood ratio: is the image likelier under another model?"""

import types
from collections.abc import Mapping
from typing import Any

from tfp_ood.detectors.base import ColumnDetector


class Ratio(ColumnDetector):
    """log p_reference(x) - log p(x): nats per image.

    Ren et al., "Likelihood ratios for out-of-distribution detection", 2019, equation 3, where the
    reference is a background model, trained on mutated images (`train.mutation_rate`), or
    Schirrmeister et al., "Understanding anomaly detection with deep invertible networks through
    hierarchies of distributions and features", 2020, where it was trained on general images. What
    both models find easy, such as smooth backgrounds, cancels. It costs a second model. High means
    foreign. Blind to what the two models differ on as much as on usual images.
    """

    name = "ratio"
    title = "Likelihood ratio to a reference"
    needs = ("log_prob", "reference_log_prob")
    how_to_get = "another run to compare with (--reference)"

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The log ratio."""
        return columns["reference_log_prob"] - columns["log_prob"]
