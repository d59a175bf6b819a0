"""Density of statistics: are the numbers that a model tells of an image usual together?"""

import types
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import OF_FLOWS_AND_VAES, FittedDetector

_TERMS = ("log_prob_latent", "log_det", "reconstruction", "kl")
_CHANNELS = ("log_prob.red", "log_prob.green", "log_prob.blue")
_IMAGE = "code_bits"


class Density(FittedDetector):
    """-log q(statistics of x), q a mixture of Gaussians fitted to held-out images: nats.

    Morningstar et al., "Density of states estimation for out-of-distribution detection", 2021; with
    the image's complexity among the statistics as in Osada et al., "Understanding likelihood of
    normalizing flow and image complexity through the lens of out-of-distribution detection", 2024.
    The statistics are the terms of log p(x) (of a flow log p(z) and log-det, of a VAE the
    reconstruction and KL, of a PixelCNN its channels, else log p(x) itself) and the length of the
    image under a lossless code (`evaluation.code_length`). It costs nothing beyond the likelihood.
    High means foreign, whether a statistic is too low or too high. Blind to images whose statistics
    are all usual. `combined` asks it of flows and VAEs, whose two terms tell two things: of a flow
    where the latent lies, and how far the flow stretches there. A PixelCNN's are parts of one sum.
    """

    name = "density"
    title = "Density of statistics"
    is_combined = True
    combined_with = OF_FLOWS_AND_VAES

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """The terms that the table has, and the length."""
        if self.columns:
            return self.columns
        terms = [name for name in (*_TERMS, *_CHANNELS) if name in names]
        terms = terms or [name for name in self.needs if name in names]
        return (*terms, _IMAGE) if terms and _IMAGE in names else tuple(terms)

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Fits the mixture."""
        self._density = usual.density(columns)

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The negative log density."""
        return -self._density(columns, xp)
