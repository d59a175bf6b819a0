"""What explains the likelihoods, computed from score tables alone."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable

_SAME_VOLUME = 1e-3  # nats per dimension


def decomposition(table: ScoreTable) -> dict[str, float] | None:
    """The two terms of a flow's likelihood (Nalisnick et al., 2019, section 4):

        log p(x) = log p_z(f(x)) + log|det df/dx|

    Args:
      table: of a flow; of other families there is nothing to decompose.

    Returns:
      None, or, in nats per image: mean and standard deviation over images of the `latent` and the
      `volume` term, and `residual_per_dim`, the largest |log p - latent - volume| over images,
      in nats per dimension.
    """
    if "log_det" not in table.statistics:
        return None
    latent, volume = table.statistics["log_prob_latent"], table.statistics["log_det"]
    residual = np.max(np.abs(table.log_prob - latent - volume)) / table.num_dims
    return {
        "latent_mean": float(np.mean(latent)),
        "latent_std": float(np.std(latent)),
        "volume_mean": float(np.mean(volume)),
        "volume_std": float(np.std(volume)),
        "residual_per_dim": float(residual),
    }


def has_constant_volume(tables: Sequence[ScoreTable]) -> bool:
    """Whether the volume term of a flow is one number for all images, but for float32's noise."""
    ends = [end(table.statistics["log_det"]) for table in tables for end in (np.min, np.max)]
    return bool(np.ptp(ends) < _SAME_VOLUME * tables[0].num_dims)


def complexity(table: ScoreTable) -> dict[str, float | None]:
    """How log p(x) goes with the size of x as a PNG file, over the images of a set.

    Returns:
      mean `png_bits_per_dim`, and the correlations `pearson` and `spearman` of log_prob and
      png_bytes: None where one of them is the same for all images.
    """
    size = table.statistics["png_bytes"]
    varies = np.ptp(size) > 0 and np.ptp(table.log_prob) > 0
    return {
        "png_bits_per_dim": float(8.0 * np.mean(size) / table.num_dims),
        "pearson": float(stats.pearsonr(size, table.log_prob)[0]) if varies else None,
        "spearman": float(stats.spearmanr(size, table.log_prob)[0]) if varies else None,
    }


def reduction(table: ScoreTable) -> Mapping[str, Any] | None:
    """Kind and factor of a set that is the in-distribution one with less contrast; else None."""
    return table.metadata["preprocessing"].get("reduction")


def sweeps(own: ScoreTable, tables: Sequence[ScoreTable]) -> dict[str, dict[str, Any]]:
    """Likelihood against the contrast that is left of the in-distribution test images.

    The paper's second-order analysis predicts that it rises as variance falls.

    Args:
      own: the in-distribution table, of full contrast.
      tables: any; those of reduced images are taken.

    Returns:
      kind of reduction -> `factors`, ascending and with 1; `mean`, `low` and `high`: mean and 5th
      and 95th percentile of log_prob, nats per image; `spearman_of_means`: of means and falling
      factors, 1 where the mean likelihood rises at every step down; `spearman_of_images`: the
      mean over images of the same for each image.

    Raises:
      EvaluationError: a table has not the images of `own`.
    """
    by_kind = collections.defaultdict(dict)
    for table in tables:
        if how := reduction(table):
            if table.num_images != own.num_images or how["of"] != own.dataset:
                raise EvaluationError(
                    f"{table.key} is not made of the {own.num_images:,} images of {own.key}; "
                    "--mode=evaluate makes it again."
                )
            by_kind[how["kind"]][how["factor"]] = table.log_prob
    return {kind: _sweep({**levels, 1.0: own.log_prob}) for kind, levels in by_kind.items()}


def _sweep(levels: Mapping[float, np.ndarray]) -> dict[str, Any]:
    factors = sorted(levels)
    log_prob = np.stack([levels[factor] for factor in factors])
    means = log_prob.mean(1)
    return {
        "factors": factors,
        "mean": means.tolist(),
        "low": np.percentile(log_prob, 5, axis=1).tolist(),
        "high": np.percentile(log_prob, 95, axis=1).tolist(),
        "spearman_of_means": _spearman(-np.array(factors), means[:, None]),
        "spearman_of_images": _spearman(-np.array(factors), log_prob),
    }


def _spearman(x: np.ndarray, columns: np.ndarray) -> float:
    """The mean over columns [L, N] of their rank correlation with x [L]; 0 for constant ones."""
    ranks = stats.rankdata(columns, axis=0)
    x_ranks = stats.rankdata(x)
    ranks, x_ranks = ranks - ranks.mean(0), x_ranks - x_ranks.mean()
    norms = np.sqrt(np.sum(np.square(ranks), 0) * np.sum(np.square(x_ranks)))
    return float(np.mean(x_ranks @ ranks / np.where(norms > 0, norms, 1.0)))


def gray_levels(table: ScoreTable, own: ScoreTable) -> dict[str, float] | None:
    """How likely constant images are.

    Args:
      table: of the set `constant`, whose image i has the value i everywhere; others give None.
      own: the in-distribution table.

    Returns:
      `likeliest` and `unlikeliest` gray level, and `share_above_own`, the share of levels that are
      likelier than the median image of `own`.
    """
    if table.dataset != "constant":
        return None
    return {
        "likeliest": int(table.index[np.argmax(table.log_prob)]),
        "unlikeliest": int(table.index[np.argmin(table.log_prob)]),
        "share_above_own": float(np.mean(table.log_prob > np.median(own.log_prob))),
    }
