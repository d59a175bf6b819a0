"""The second-order analysis of constant-volume Glow: predicted and measured gaps side by side."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood.evaluation import second_order
from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section


@dataclasses.dataclass(frozen=True)
class Moments:
    """Standard deviations of two sets' pixel values, 0 to 255, by channel, over whole sets."""

    own: str
    other: str
    std_own: tuple[float, ...]
    std_other: tuple[float, ...]
    source: str


MOMENTS = (
    Moments("CIFAR-10", "SVHN", (61.9, 59.2, 68.1), (49.6, 52.7, 53.6),
            "the paper's, unverified: recalled as variances, but of the size of standard "
            "deviations, as which they are read here"),
    Moments("CIFAR-10", "SVHN", (62.7, 61.8, 66.5), (50.5, 51.3, 50.2),
            "10,000 training images of CIFAR-10; published constants of SVHN"),
    Moments("FashionMNIST", "MNIST", (90.0,), (78.6,),
            "FashionMNIST as measured, published constant of MNIST"),
)  # fmt: skip
"""Moments of the paper's pairs, for the second-order analysis."""


def section(evidence: Evidence) -> Section | None:
    """The paper's prediction beside what was measured; None for other models.

    Its numbers are {"sets": {key: terms of `second_order.predicted_gap`, measured, same_sign},
    "from_moments": [the prediction from each of `MOMENTS`]}, nats per image.
    """
    if evidence.slopes is None:
        return None
    slopes, in_set = evidence.slopes, evidence.in_set
    numbers, rows = {}, []
    for one in evidence.out_sets:
        terms = second_order.predicted_gap(slopes, in_set.kept, one.kept)
        terms["measured"] = float(np.mean(one.table.log_prob) - np.mean(in_set.table.log_prob))
        terms["same_sign"] = bool(np.sign(terms["measured"]) == np.sign(terms["variance_term"]))
        numbers[one.key] = terms
        columns = ("variance_term", "measured", "mean_term", "variance_term_at_mean")
        cells = [f"{terms[name]:+,.0f}" for name in columns]
        cells.insert(2, html.yes_or_no(terms["same_sign"]))
        variances = f"{terms['variance_other']:,.0f} / {terms['variance_own']:,.0f}"
        rows.append([one.label, *cells, variances])
    header = ["Set", "predicted", "measured", "same sign", "mean term"]
    header += [html.Html("with couplings&rsquo; slopes"), "pixel variance, its / own"]
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
    body = words + table + _moments_table(from_moments)
    return Section(html.section("Predicted from variances alone", body), found)


def _from_moments(slopes: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The prediction for pairs of the paper whose images have as many channels as the model's."""
    num_channels = slopes["kernel_sensitivity"].shape[-1]
    found = []
    for one in MOMENTS:
        if len(one.std_own) == num_channels:
            gap = second_order.predicted_from_moments(slopes, one.std_own, one.std_other)
            found.append({**dataclasses.asdict(one), "variance_term": gap})
    return found


def _moments_table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in found:
        other, own = (", ".join(f"{v:g}" for v in one[key]) for key in ("std_other", "std_own"))
        pair, gap = f"{one['own']} -> {one['other']}", f"{one['variance_term']:+,.0f}"
        rows.append([pair, gap, f"{other} / {own}", one["source"]])
    header = ["Pair", "predicted", "standard deviation, its / own", "source"]
    caption = (
        "The same prediction, with these kernels, from moments of the paper's sets by channel: of "
        "whole sets, so that what differs from pixel to pixel on average counts as variance too."
    )
    return html.table(caption, header, rows, "facts")
