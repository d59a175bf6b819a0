"""Goodness of fit: is the noise that a model leaves of an image white?"""

import types
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import FittedDetector, matching

_TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")
_SIZES = ("mean_square.*", "log_det")


class LatentFit(FittedDetector):
    """The squared Mahalanobis distance of tests of the latents from what they usually are.

    The tests are those of `models.whiteness`: the Anderson-Darling statistic and the flatness of
    the spectrum as SITN has them (2026), the autocorrelation, the mean and the kurtosis: of each
    level's latents (flows; with their mean square, and log-det), of each channel's normal scores
    (PixelCNN) or of the residuals (VAE). It costs a sort and a Fourier transform of
    the latents. High means foreign, in whichever way a test is unusual. Blind to images that the
    model turns into noise like that of its own: the model may be as wrong about both.
    """

    name = "latent_fit"
    title = "Goodness of fit of the latents"
    needs = tuple(f"{test}.*" for test in _TESTS)
    is_combined = True

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """The tests, and the sizes that the table has."""
        found = super().uses(names)
        if self.columns or not found:
            return found
        return (*found, *(name for size in _SIZES for name in matching(size, names)))

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns what is usual."""
        self._distance = usual.distance(columns)

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The squared distance."""
        return self._distance(columns, xp)
