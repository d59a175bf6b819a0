"""What is usual, learnt from held-out images: maps to normal scores, distances, densities, tails.

All are fitted in NumPy and applied in `xp`, which is NumPy or `tensorflow.experimental.numpy`, so
that a fitted detector can be put into a graph. Values are float64; everything is finite, however
few the held-out images are and however little they differ.
"""

import dataclasses
import math
import types
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

_SHARES = np.concatenate([[0.01, 0.025, 0.05], np.linspace(0.1, 0.9, 17), [0.95, 0.975, 0.99]])
"""Of held-out images: maps are linear between their quantiles."""
_TAIL = 0.1
"""The share of held-out images that the tail of a score is learnt from."""
_NARROWEST = 1e-6
"""The least spread, relative to the values."""
_FARTHEST = 8.0
"""Normal scores beyond which a held-out image is no further away to what is fitted to all of them.
Among images that are usual there are none; one broken picture would say what is usual."""
_LONGEST = 20.0
"""The same of excesses, in medians: of exponential ones one in a million is longer."""
_COMPONENTS = (1, 2, 4)
_PER_COMPONENT = 25  # images


def robust_deviation(values: np.ndarray) -> float:
    """The median absolute deviation of values [N], times 1.4826: of a normal distribution its
    standard deviation."""
    return float(stats.median_abs_deviation(values, scale="normal"))


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """A map that is linear between knots, and beyond them by a slope of its own."""

    knots: np.ndarray
    """[K], ascending, K >= 1."""
    values: np.ndarray
    """[K]."""
    below: float
    """The slope below the first knot."""
    above: float
    """The slope above the last one."""

    def __call__(self, x: Any, xp: types.ModuleType) -> Any:
        """The value at each x [N]."""
        if xp is np:
            between = np.interp(x, self.knots, self.values)
        else:  # TensorFlow has no such function
            widths = np.diff(self.knots)
            steps = xp.clip(x[:, None] - self.knots[:-1], np.zeros_like(widths), widths)
            between = self.values[0] + xp.sum(steps * (np.diff(self.values) / widths), axis=-1)
        return (
            between
            + self.below * xp.minimum(x - self.knots[0], 0.0)
            + self.above * xp.maximum(x - self.knots[-1], 0.0)
        )


def normal_scores(values: np.ndarray) -> Interpolation:
    """The map of a statistic to what is standard normal for images such as these.

    Quantiles go to those of the normal distribution. Beyond the outermost it goes on as it went on
    average from the median to there, so that what is far stays far.

    Args:
      values: [N], of held-out images.
    """
    median = float(np.median(values))
    least = _least(values)
    knots, targets = np.quantile(values, _SHARES), stats.norm.ppf(_SHARES)
    below, above = (
        float(target / np.copysign(max(abs(knot - median), least), target))
        for knot, target in ((knots[0], targets[0]), (knots[-1], targets[-1]))
    )
    return _interpolation(knots, targets, least, below, above)


def _least(values: np.ndarray) -> float:
    """The least spread of values [N], whatever the size of a few of them."""
    return _NARROWEST * (1.0 + float(np.quantile(np.abs(values), 1.0 - _TAIL)))


def _interpolation(
    knots: np.ndarray, values: np.ndarray, least: float, below: float = 0.0, above: float = 0.0
) -> Interpolation:
    """Through ascending knots; those that are no further apart than `least` are one.

    Of a statistic with few values several quantiles are.
    """
    places = np.cumsum(np.diff(knots, prepend=knots[0]) > least)
    knots, values = (np.bincount(places, part) / np.bincount(places) for part in (knots, values))
    return Interpolation(knots, values, below, above)


@dataclasses.dataclass(frozen=True)
class Distance:
    """The squared Mahalanobis distance of statistics, each mapped to normal scores.

    With one shrunk covariance (Ledoit & Wolf, "A well-conditioned estimator for large-dimensional
    covariance matrices", 2004).
    """

    maps: Mapping[str, Interpolation]
    mean: np.ndarray
    """[D], of the normal scores of the D statistics."""
    precision: np.ndarray
    """[D, D]."""

    def __call__(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """The squared distance of each image [N]; D for usual ones."""
        offset = _mapped(self.maps, columns, xp) - self.mean
        return xp.sum(xp.matmul(offset, self.precision) * offset, axis=-1)


def distance(columns: Mapping[str, np.ndarray]) -> Distance:
    """Learns what is usual of statistics [N] of held-out images."""
    maps = {name: normal_scores(values) for name, values in columns.items()}
    found = LedoitWolf().fit(_near(maps, columns))
    return Distance(maps, found.location_, found.precision_)


@dataclasses.dataclass(frozen=True)
class Density:
    """The log density of statistics, each mapped to normal scores, under a mixture of Gaussians."""

    maps: Mapping[str, Interpolation]
    log_weights: np.ndarray
    """[K], with the constants of the Gaussians."""
    means: np.ndarray
    """[K, D]."""
    factors: np.ndarray
    """[K, D, D], Cholesky factors of the precisions."""

    def __call__(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """Nats of each image [N], of the density of normal scores."""
        scores, logs = _mapped(self.maps, columns, xp), []
        for weight, mean, factor in zip(self.log_weights, self.means, self.factors, strict=True):
            offset = xp.matmul(scores - mean, factor)
            logs.append(weight - 0.5 * xp.sum(offset * offset, axis=-1))
        logs = xp.stack(logs)
        most = xp.max(logs, axis=0)
        return most + xp.log(xp.sum(xp.exp(logs - most), axis=0))


def density(columns: Mapping[str, np.ndarray], seed: int = 0) -> Density:
    """Learns the density of statistics [N] of held-out images.

    The number of Gaussians is that of the least Bayesian information criterion.
    """
    maps = {name: normal_scores(values) for name, values in columns.items()}
    scores = _near(maps, columns)
    most = max(1, len(scores) // _PER_COMPONENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            GaussianMixture(count, reg_covar=1e-3, random_state=seed).fit(scores)
            for count in _COMPONENTS
            if count <= most
        ]
    best = min(fits, key=lambda fit: fit.bic(scores))
    factors = best.precisions_cholesky_
    log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
    constants = log_dets - 0.5 * scores.shape[1] * math.log(2 * math.pi)
    return Density(maps, np.log(best.weights_) + constants, best.means_, factors)


def _near(maps: Mapping[str, Interpolation], columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Normal scores [N, D] to fit to, none of them far; of one image, which has no spread, it
    twice.

    Where a statistic is the same of all, but for rounding, as the log-det of a flow with constant
    volume, rounding would say what is usual: it gets the spread that others have.
    """
    scores = np.clip(_mapped(maps, columns, np), -_FARTHEST, _FARTHEST)
    scores = scores if len(scores) > 1 else np.concatenate([scores, scores])
    is_constant = np.array([len(one.knots) == 1 for one in maps.values()])
    return scores + is_constant * np.random.default_rng(0).normal(size=scores.shape)


def _mapped(maps: Mapping[str, Interpolation], columns: Mapping[str, Any], xp: Any) -> Any:
    """Normal scores, [N, D]."""
    return xp.stack([one(columns[name], xp) for name, one in maps.items()], axis=-1)


@dataclasses.dataclass(frozen=True)
class Surprise:
    """How rare a score is: -log of the share of usual images with a score as high, in nats.

    Up to a threshold by the ranks of held-out scores; above it by a generalised Pareto tail that
    was fitted to the excesses (Pickands, "Statistical inference using extreme order statistics",
    1975), never lighter than an exponential one. Of usual images the surprise of any score has the
    standard exponential distribution, roughly, so that surprises add up on one scale, and a score
    that says nothing adds noise of that size only.
    """

    body: Interpolation
    threshold: float
    scale: float
    """Of the excesses, in units of the score."""
    shape: float
    """0 for an exponential tail, more for a heavier one."""

    def __call__(self, scores: Any, xp: types.ModuleType) -> Any:
        """The surprise of each score [N]."""
        excess = xp.maximum(scores - self.threshold, 0.0) / self.scale
        tail = xp.log1p(self.shape * excess) / self.shape if self.shape > 1e-6 else excess
        return self.body(xp.minimum(scores, self.threshold), xp) + tail


def surprise(scores: np.ndarray) -> Surprise:
    """Learns how rare scores [N] of held-out images are."""
    scores = np.asarray(scores, np.float64)
    least = _least(scores)
    shares = np.linspace(0.0, 1.0 - _TAIL, 46)
    knots, targets = np.quantile(scores, shares), -np.log1p(-shares)
    body = _interpolation(knots, targets, least)
    threshold = float(body.knots[-1])
    # Ties with the threshold, but for rounding, are no excess.
    excess = np.sort(scores[scores > threshold + least] - threshold)
    if len(excess):
        excess = np.minimum(excess, _LONGEST * np.quantile(excess, 0.5, method="lower"))
    mean = max(float(np.mean(excess)) if len(excess) else 0.0, least)
    # Probability-weighted moments (Hosking & Wallis, 1987), which exist wherever the mean does.
    ranks = (np.arange(len(excess)) + 0.65) / max(len(excess), 1)
    weighted = float(np.mean((1.0 - ranks) * excess)) if len(excess) else 0.0
    shape = 2.0 - mean / max(mean - 2.0 * weighted, 1e-9 * mean) if len(excess) > 1 else 0.0
    shape = float(np.clip(shape, 0.0, 0.9))
    return Surprise(body, threshold, mean * (1.0 - shape), shape)
