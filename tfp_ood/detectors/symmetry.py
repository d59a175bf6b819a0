"""Is the image likelier as it stands than in other positions? Where not, it is foreign."""

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.detectors import usual
from tfp_ood.detectors.base import OF_FLOWS_AND_VAES, FittedDetector, matching

_FAR = 3.0


class Symmetry(FittedDetector):
    """sum_j [log p(T_j x) - log p(x)], nats, T_j the rotations and flips that keep the shape.

    A model knows which way up its own images are, and finds them less likely otherwise; what makes
    a simple foreign image likely (smoothness, few edges) is the same in every position (Umapathi et
    al., 2023, "stirring"). High is foreign. Their rule flags outright what is far less likely than
    held-out images: log p below m = median - 3 robust standard deviations (1.4826 times the median
    absolute deviation). Here such an image gets, for the same effect on a ranking,

        max(score, highest score of held-out images) + m - log p(x):

    more than all that is usual, and the more the less likely.

    Cost: the columns of `evaluate.symmetries`, seven further scorings of every image, three of
    those that are not square. Blind to images that are symmetric themselves, and of no use
    where own images have no right way up. `combined` asks it of flows and VAEs: with what it joins
    of a PixelCNN it takes away more than it brings (docs/detectors.md).
    """

    name = "symmetry"
    title = "Symmetry"
    needs = ("log_prob", "symmetry.*")
    how_to_get = "config.evaluate.symmetries"
    is_combined = True
    combined_with = OF_FLOWS_AND_VAES
    _least: float
    _highest: float

    def learn(self, columns: Mapping[str, np.ndarray]) -> None:
        """Keeps the log p under which images are far too unlikely, and the highest score."""
        log_prob = columns["log_prob"]
        self._least = float(np.median(log_prob) - _FAR * usual.robust_deviation(log_prob))
        self._highest = float(np.max(self._stirred(columns)))

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """See the class; arrays or tensors, [N]."""
        score, missing = self._stirred(columns), self._least - columns["log_prob"]
        return xp.where(missing > 0.0, xp.maximum(score, self._highest) + missing, score)

    def _stirred(self, columns: Mapping[str, Any]) -> Any:
        positions = matching("symmetry.*", self.columns)
        return sum(columns[name] - columns["log_prob"] for name in positions)
