"""Likelihood of the in-distribution images as their contrast falls."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The curves; None where no set of less contrast was judged."""
    found = sweeps(evidence.in_set.table, [one.table for one in evidence.out_sets])
    if not found:
        return None
    drawing = draw(found)
    words = {"contrast": "towards the mean of each image", "dimmed": "towards black"}
    sentences = " ".join(
        f"Moved {words[kind]}, rank correlation of falling contrast and likelihood "
        f"{sweep['spearman_of_means']:+.2f} (means), {sweep['spearman_of_images']:+.2f} "
        "(of each image, averaged)."
        for kind, sweep in found.items()
    )
    caption = f"Means and 90 % of the images. {sentences}"
    alt = f"Likelihood of {evidence.in_set.label} against contrast. {sentences}"
    text = (
        "<p>If variance is what counts, the model&rsquo;s own images must become likelier as their "
        "contrast falls.</p>"
    )
    figure = evidence.draw("contrast", drawing, alt, caption)
    return Section(html.section("Likelihood against contrast", text + figure), found)


def sweeps(in_table: ScoreTable, tables: Sequence[ScoreTable]) -> dict[str, dict[str, Any]]:
    """Likelihood against the contrast that is left of the in-distribution test images.

    The paper's second-order analysis predicts that it rises as variance falls.

    Args:
      in_table: the in-distribution table, of full contrast.
      tables: any; those of reduced images are taken.

    Returns:
      kind of reduction -> `factors`, ascending and with 1; `mean`, `low` and `high`: mean and 5th
      and 95th percentile of log_prob, nats per image; `spearman_of_means`: of means and falling
      factors, 1 where the mean likelihood rises at every step down; `spearman_of_images`: the
      mean over images of the same for each image.

    Raises:
      EvaluationError: a table has not the images of `in_table`.
    """
    by_kind = collections.defaultdict(dict)
    for table in tables:
        if how := table.reduction:
            if table.num_images != in_table.num_images or how["of"] != in_table.dataset:
                raise EvaluationError(
                    f"{table.key} is not made of the {in_table.num_images:,} images of "
                    f"{in_table.key}; --mode=evaluate makes it again."
                )
            by_kind[how["kind"]][how["factor"]] = table.log_prob
    return {kind: _sweep({**levels, 1.0: in_table.log_prob}) for kind, levels in by_kind.items()}


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


def draw(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draws what `sweeps` found: means, and 90 % of the images."""
    figure, (axes,) = figures.panels(7, 4.4)
    words = {"contrast": "towards the image's mean", "dimmed": "towards black"}
    for number, (kind, sweep) in enumerate(found.items(), 1):
        look = {**figures.style(number), "label": words[kind]}
        look["marker"] = figures.MARKERS[(number - 1) % len(figures.MARKERS)]
        curves = (sweep[name] for name in ("factors", "mean", "low", "high"))
        figures.draw_band(axes, *curves, **look)
    axes.set_xlim(1.02, -0.02)
    axes.set(xlabel="share of contrast that is left", ylabel="log p(x)  [nats per image]")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    figures.finish(figure)
    return figure
