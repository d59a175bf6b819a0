"""How would the model change, were it trained on this image? Unusually, where it is foreign."""

import math
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors.base import FittedDetector

_LEAST_DEVIATION = 1e-2
"""Of the log of a squared norm: half a per cent of the norm is no difference."""


class Gradient(FittedDetector):
    """-sum_l log N(f_l; mean_l, deviation_l), f_l = log |d log p(x) / d theta_l|^2.

    One f_l for each tensor theta_l of trained parameters, and a normal distribution of each, as
    independent, from held-out images (Dauncey et al., 2023, "Approximations to the Fisher
    information metric of deep generative models for out-of-distribution detection"; Bergamin et
    al., 2022). High is foreign, though gradients that are too small count as those that are too
    large. It does not depend on how images are parametrised, which likelihood does.

    Cost: the columns of `evaluate.gradients`, one backward pass and a product for every tensor
    and image, about two training gradients. Blind to foreign images that ask for the changes that
    own ones ask for, however likely they are; and tensors that say the same count again and again.
    """

    name = "gradient"
    title = "Gradient"
    needs = ("log_gradient.*",)
    how_to_get = "config.evaluate.gradients"
    _usual: Mapping[str, tuple[float, float]]

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Keeps mean and standard deviation of every column."""
        self._usual = {
            name: (float(np.mean(values)), max(float(np.std(values)), _LEAST_DEVIATION))
            for name, values in columns.items()
        }

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """See the class; arrays or tensors, [N]."""
        constant = 0.5 * math.log(2 * math.pi)
        return sum(
            0.5 * xp.square((columns[name] - mean) / deviation) + math.log(deviation) + constant
            for name, (mean, deviation) in self._usual.items()
        )
