"""The two terms of a flow's likelihood: latent density and volume."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section

_SAME_VOLUME = 1e-3  # nats per dimension
_NUM_BINS = 60


def section(evidence: Evidence) -> Section | None:
    """Which term makes a set likelier; None for families other than flows."""
    found = {one.key: decomposition(one.table) for one in evidence.sets}
    if None in found.values():
        return None
    drawing = draw(evidence.shown)
    in_terms = found[evidence.in_set.key]
    rows = []
    for one in evidence.sets:
        means = (f"{found[one.key][f'{name}_mean']:,.1f}" for name in ("latent", "volume"))
        # No "-0.0".
        gaps = (f"{round(gap, 1) + 0.0:+,.1f}" for gap in _gaps(found[one.key], in_terms).values())
        rows.append([one.label, *means, *gaps])
    header = ["Set", "latent", "volume", "latent, more than own", "volume, more than own"]
    residual = max(terms["residual_per_dim"] for terms in found.values())
    words = (
        "<p>A flow&rsquo;s likelihood is log&nbsp;p(x) = log&nbsp;p(z) + log|det&nbsp;dz/dx|: how "
        "likely the latent is, and how much the flow stretches space around the image. "
        f"{html.escape(_larger_term(evidence, found))} The two add up to log&nbsp;p(x) within "
        f"{residual:.1e} nats per dimension for every image.</p>"
    )
    alt = "Histograms of the two terms of the likelihood"
    figure = evidence.draw("terms", drawing, alt, "The two terms by set.")
    body = words + figure + html.table("Means in nats per image", header, rows, "metrics")
    return Section(html.section("Latent density and volume", body), found)


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


def has_constant_volume(sets: Sequence[JudgedSet]) -> bool:
    """Whether the volume term of a flow is one number for all images, but for float32's noise."""
    volumes = [one.table.statistics["log_det"] for one in sets]
    ends = [end(volume) for volume in volumes for end in (np.min, np.max)]
    return bool(np.ptp(ends) < _SAME_VOLUME * sets[0].table.num_dims)


def _gaps(terms: Mapping[str, float], in_terms: Mapping[str, float]) -> dict[str, float]:
    """How much more a set has than the in-distribution one of each term, nats per image."""
    return {name: terms[f"{name}_mean"] - in_terms[f"{name}_mean"] for name in ("latent", "volume")}


def _larger_term(evidence: Evidence, found: Mapping[str, Mapping[str, float]]) -> str:
    """A sentence for each set on which term makes it likelier or unlikelier than the own one."""
    if has_constant_volume(evidence.sets):
        return "Here the volume is the same for every image; all differences are the latent's."
    in_terms, sentences = found[evidence.in_set.key], []
    for one in evidence.shown[1:]:
        gaps = _gaps(found[one.key], in_terms)
        total = sum(gaps.values())
        pull = {name: gap * np.sign(total) for name, gap in gaps.items()}
        term = max(pull, key=pull.get)
        words = "likelier" if total > 0 else "unlikelier"
        sentences.append(
            f"{one.label} is {words} by {abs(total):,.0f} nats per image: "
            f"{gaps['latent']:+,.0f} by the latent density and {gaps['volume']:+,.0f} by the "
            f"volume, mostly the {term}."
        )
    return " ".join(sentences)


def draw(sets: Sequence[JudgedSet]) -> Figure:
    """Draws the densities of both terms; of the latent alone if the volume is constant.

    Args:
      sets: of a flow, in-distribution first.
    """
    terms = {"log_prob_latent": "latent density  log p(z)  [nats per image]"}
    if not has_constant_volume(sets):
        terms["log_det"] = "volume term  log|det dz/dx|  [nats per image]"
    height = 2.6 * len(terms) + 0.25 * len(sets) + 0.3
    figure, panels = figures.panels(7.5, height, len(terms))
    for axes, (term, name) in zip(panels, terms.items(), strict=True):
        values = [one.table.statistics[term] for one in sets]
        edges = np.linspace(*figures.axis_range(values), _NUM_BINS + 1)
        shown = zip(range(len(sets)), values, (one.label for one in sets), strict=True)
        figures.draw_densities(axes, edges, shown)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(name, fontsize=12)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines.top.set_visible(False)
    handles, words = panels[0].get_legend_handles_labels()
    figures.add_legend(figure, handles, words)
    return figure
