"""Reconstruction: does a VAE encode and decode the image as it does its own?"""

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import FittedDetector


class Reconstruction(FittedDetector):
    """The squared Mahalanobis distance of the norms along a VAE's path from what they usually are.

    LPath (2024): the norms of the residual x - x_hat, of the posterior's mean and of its scale,
    here in two norms each, mapped to normal scores and decorrelated. It costs one decoding. High
    means foreign. Blind to images that are encoded and decoded with the same errors as usual ones.
    """

    name = "reconstruction"
    title = "Norms of the reconstruction"
    needs = ("norm_1.*", "norm_2.*")
    is_combined = True

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns what is usual."""
        self._distance = usual.distance(columns)

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The squared distance."""
        return self._distance(columns, xp)
