"""The report's section on the second-order analysis: predicted and measured gaps side by side."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood.evaluation import second_order
from tfp_ood.evaluation.images import Kept
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import html
from tfp_ood.reporting.paper import facts as paper_facts


def section(
    slopes: Mapping[str, np.ndarray],
    tables: Sequence[ScoreTable],
    kept: Sequence[Kept],
    labels: Sequence[str],
) -> tuple[dict[str, Any], str]:
    """The paper's prediction beside what was measured, for constant-volume Glow.

    Args:
      slopes: of `curvature.read`.
      tables: of all sets, in-distribution first.
      kept: of the same sets.
      labels: of the same sets.

    Returns:
      {"sets": {key: terms of `curvature.predicted_gap`, measured, same_sign}, "from_moments":
      [the prediction from each of `paper_facts.MOMENTS`]},
      nats per image; and HTML.
    """
    own, own_kept = tables[0], kept[0]
    numbers, rows = {}, []
    for i, table in enumerate(tables[1:], 1):
        terms = second_order.predicted_gap(slopes, own_kept, kept[i])
        terms["measured"] = float(np.mean(table.log_prob) - np.mean(own.log_prob))
        terms["same_sign"] = bool(np.sign(terms["measured"]) == np.sign(terms["variance_term"]))
        numbers[table.key] = terms
        figures = ("variance_term", "measured", "mean_term", "variance_term_at_mean")
        cells = [f"{terms[name]:+,.0f}" for name in figures]
        cells.insert(2, "yes" if terms["same_sign"] else "<b>no</b>")
        variances = f"{terms['variance_other']:,.0f} / {terms['variance_own']:,.0f}"
        rows.append([html.escape(labels[i]), *cells, variances])
    header = ["Set", "predicted", "measured", "same sign", "mean term"]
    header += ["with couplings&rsquo; slopes", "pixel variance, its / own"]
    num_right = sum(terms["same_sign"] for terms in numbers.values())
    words = (
        "<p>Around the mean of its own images a constant-volume flow is expected to prefer a set "
        "with smaller variances, whatever its weights: E<sub>q</sub>[log&nbsp;p] &minus; "
        "E<sub>p*</sub>[log&nbsp;p] &asymp; &minus;&frac12; &Sigma;<sub>i</sub> a<sub>i</sub> "
        "(&sigma;&sup2;<sub>q,i</sub> &minus; &sigma;&sup2;<sub>p*,i</sub>) with a<sub>i</sub> "
        "&ge; 0 from the 1x1 kernels (Nalisnick et al., 2019, section 5). The sign came out as "
        f"measured for {num_right} of {len(rows)} sets. The size means little: pixels are taken as "
        "independent, couplings as flat and the means as equal. What "
        "these leave out is in the last columns: the term of unequal means, and the prediction "
        "with the couplings&rsquo; slopes at the mean image. Of neighbouring pixels that vary "
        "together, as in images and not in noise, none of it knows.</p>"
    )
    table = html.table("How much likelier than own images, nats per image", header, rows, "metrics")
    from_moments = _from_moments(slopes)
    found = {"sets": numbers, "from_moments": from_moments}
    return found, html.section(
        "Predicted from variances alone", words + table + _moments_table(from_moments)
    )


def _from_moments(slopes: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The prediction for pairs of the paper whose images have as many channels as the model's."""
    num_channels = slopes["kernel_sensitivity"].shape[-1]
    return [
        {
            **dataclasses.asdict(moments),
            "variance_term": second_order.predicted_from_moments(
                slopes, moments.std_own, moments.std_other
            ),
        }
        for moments in paper_facts.MOMENTS
        if len(moments.std_own) == num_channels
    ]


def _moments_table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            html.escape(f"{moments['own']} -> {moments['other']}"),
            f"{moments['variance_term']:+,.0f}",
            " / ".join(
                ", ".join(f"{value:g}" for value in moments[key])
                for key in ("std_other", "std_own")
            ),
            html.escape(moments["source"]),
        ]
        for moments in found
    ]
    header = ["Pair", "predicted", "standard deviation, its / own", "source"]
    caption = (
        "The same prediction, with these kernels, from moments of the paper's sets by channel: of "
        "whole sets, so that what differs from pixel to pixel on average counts as variance too."
    )
    return html.table(caption, header, rows, "facts")
