"""Whether many new images, as a whole, are still what the guard was made for.

The new images are compared with the own test images, by the combined score. Neither the model nor
a detector was fitted to those, nor was the threshold, so that while the new images come from where
they came from, the scores of both are exchangeable, whatever was learned or calibrated.

Two tests share the level in equal parts, and are joined as Holm (1979) does:

- more of the new images are flagged than of the own ones (Fisher's exact test, one-sided): for a
  few images that are quite foreign;
- the scores are of another distribution (Cramer and von Mises, two samples): for many images that
  are a little unusual, or too usual.

Why so, measured on the score tables of runs, 1,000 new images at a level of 5 %: if 3 % of them are
MNIST among FashionMNIST, the first test alone finds it in 99 % of draws and the second in 31 %; if
all are of five of the ten classes, the first never and the second always; both together find each.
Kolmogorov's and Smirnov's test, or Mann's and Whitney's, in the place of the second find no more.
Compared with the few images that set the guard's threshold, in place of the test images, both find
3 % of MNIST in 48 % of draws; and as those few are the same in every comparison, their chance is
told as drift again and again: of that run in 10 % of draws. `tests/benchmarks/monitor.py` measures
what the tests do on a run's tables.

Single images are named by their conformal p-values among the own test images. The procedure of
Benjamini and Hochberg keeps the expected share of own images among the named ones below a rate:
such p-values depend on each other in a way that it allows (Bates et al., 2023, "Testing for
outliers with conformal p-values").
"""

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from tfp_ood.detectors import conformal
from tfp_ood.detectors.conformal import Calibration
from tfp_ood.metrics.detection import checked

FEW = 200
"""Fewer new images than this are cautioned against."""

POWER = 0.8
"""The chance with which a share of foreign images is found, for `smallest_share`."""

FLAGS, SCORES = "flags", "scores"
"""The two tests."""

_NUM_TESTS = 2
_SLACK = 1e-9  # of comparisons of rounded fractions


@dataclasses.dataclass(frozen=True)
class Drift:
    """What the tests say of M new images, beside N own ones."""

    p_values: dict[str, float]
    """`FLAGS` and `SCORES` -> the p-value of that test."""
    found: tuple[str, ...]
    """The tests that find drift at the level of all."""
    image_p_values: np.ndarray
    """float64 [M], among the own test images."""
    named: np.ndarray
    """int64 [K]: the images that are named, the most suspicious first."""

    @property
    def is_drift(self) -> bool:
        """The verdict."""
        return bool(self.found)


def compare(
    new: np.ndarray,
    own: np.ndarray,
    flagged: Sequence[int],
    level: float,
    false_discovery_rate: float,
) -> Drift:
    """Compares new images with own ones.

    Args:
      new: scores [M], higher is more out-of-distribution.
      own: scores [N] of own test images.
      flagged: how many of both are flagged: of the new, of the own ones.
      level: chance that drift is said where there is none.
      false_discovery_rate: share of own images to expect among those that are named.

    Raises:
      EvaluationError: there are no scores, or some are not finite.
    """
    new, own = checked(new, "new"), checked(own, "own test")
    p_values = {
        FLAGS: more_flagged(flagged[0], len(new), flagged[1], len(own)),
        SCORES: other_scores(new, own),
    }
    of_images = conformal.p_values(conformal.measured(own, level), new)
    adjusted = stats.false_discovery_control(of_images)
    named = np.flatnonzero(adjusted <= false_discovery_rate + _SLACK)
    return Drift(
        p_values,
        _holm(p_values, level),
        of_images,
        named[np.argsort(-new[named], kind="stable")],
    )


def _holm(p_values: dict[str, float], level: float) -> tuple[str, ...]:
    """The tests whose hypotheses are rejected, the clearest first."""
    found: list[str] = []
    for left, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[name] > level / (_NUM_TESTS - left):
            break
        found.append(name)
    return tuple(found)


def more_flagged(number: int, count: int, own_number: int, own_count: int) -> float:
    """The p-value of Fisher's exact test that images are flagged no more often than own ones.

    Args:
      number: of new images that are flagged.
      count: of new images.
      own_number: of own images that are flagged.
      own_count: of own images.
    """
    total = number + own_number
    return float(stats.hypergeom.sf(number - 1, count + own_count, total, count))


def other_scores(new: np.ndarray, own: np.ndarray) -> float:
    """The p-value of the test of Cramer and von Mises that both are of one distribution.

    It needs two scores of each; 1 where there are fewer.
    """
    if min(len(new), len(own)) < 2:
        return 1.0
    ranks = _ranks(np.concatenate([new, own]))
    return float(stats.cramervonmises_2samp(ranks[: len(new)], ranks[len(new) :]).pvalue)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """The place of each in ascending order, of equal ones by lot.

    SciPy's test holds without ties alone. Images that occur again and again, such as empty pages,
    have equal scores, up to what a batch does to them (`conformal.TIE`).
    """
    mantissa, exponent = np.frexp(scores)
    rounded = np.ldexp(np.rint(mantissa / conformal.TIE), exponent)
    order = np.lexsort((np.random.default_rng(0).random(len(scores)), rounded))
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(len(scores))
    return ranks


def expected_flagged(calibration: Calibration, count: int) -> tuple[int, int]:
    """The 95 % range of the number of own images, of `count`, that a guard flags.

    The threshold is itself from few images: with the k-th highest of their N scores for it, the
    chance that an own image is flagged is drawn from Beta(k, N + 1 - k), and the number is
    beta-binomial, whatever the scores' distribution (without ties).
    """
    highest = calibration.most_flagged
    low, high = stats.betabinom.interval(0.95, count, highest, calibration.num_images + 1 - highest)
    return int(low), int(high)


def fewest_beyond(count: int, own_count: int, false_discovery_rate: float) -> int:
    """How many of `count` images have to be beyond all own ones for any to be named.

    A p-value is at least 1 / (N + 1) with N own images, and of M the k smallest are named where
    the largest of them is at most the rate times k / M.
    """
    return int(np.ceil(count / (own_count + 1) / false_discovery_rate - _SLACK)) or 1


def smallest_share(count: int, own_number: int, own_count: int, level: float) -> float | None:
    """The share of foreign images from which on drift is found with a chance of `POWER`.

    By the first test alone, and of foreign images all of which the guard flags: of those that it
    flags in part there have to be more.

    Args:
      count: of new images.
      own_number: of own images that are flagged.
      own_count: of own images.
      level: of both tests together.

    Returns:
      None where even nothing but foreign images would not be found.
    """

    def is_found(number: int) -> bool:
        return more_flagged(number, count, own_number, own_count) <= level / _NUM_TESTS

    fewest = bisect.bisect_left(range(count + 1), True, key=is_found)
    if fewest > count:
        return None

    def lacking(share: float) -> float:
        chance = share + (1 - share) * own_number / own_count
        return float(stats.binom.sf(fewest - 1, count, chance)) - POWER

    return float(optimize.brentq(lacking, 0.0, 1.0)) if lacking(0.0) < 0 else 0.0
