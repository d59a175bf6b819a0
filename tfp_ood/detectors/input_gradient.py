"""How much does a small change of the image change its likelihood?"""

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import FittedDetector

_LEAST_DEVIATION = 1e-3
"""Of the log of a norm: a tenth of a per cent is no difference."""


class InputGradient(FittedDetector):
    """|log |d log p / d x| - median| / deviation, both of held-out images.

    Images of typical sets lie where likelihood falls off steeply; Grathwohl et al. ("Your
    classifier is secretly an energy based model", 2020, section 5.3: approximate mass) took the
    norm of the gradient by the pixels, one-sided, which fails in the opposite direction: simple
    images may have large or small ones. Here both sides count, as distance of the norm's log from
    the held-out median in robust standard deviations (1.4826 times the median absolute deviation);
    high is foreign.

    Cost: the columns of `evaluate.gradients`; the pixels alone would be a backward pass. Blind to
    foreign images with a usual norm, and to where in the image the gradient is.
    """

    name = "input_gradient"
    title = "Gradient by the pixels"
    needs = ("log_gradient_norm.input",)
    how_to_get = "config.evaluate.gradients"
    _median: float
    _deviation: float

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Keeps median and robust standard deviation."""
        (values,) = columns.values()
        self._median = float(np.median(values))
        self._deviation = max(usual.robust_deviation(values), _LEAST_DEVIATION)

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """See the class; arrays or tensors, [N]."""
        return xp.abs(columns["log_gradient_norm.input"] - self._median) / self._deviation
