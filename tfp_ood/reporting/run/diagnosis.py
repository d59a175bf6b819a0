"""The report's explanations: figures, tables and a few sentences each, from score tables alone."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood.evaluation.images import Kept
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import html
from tfp_ood.reporting.run import analysis, diagnosis_plots, second_order
from tfp_ood.reporting.run import trajectory as training_curve
from tfp_ood.reporting.run.over_training import over_training
from tfp_ood.trajectory import Scored

FIGURES = ("roc", "extremes", "progress", "terms", "contrast", "gray_levels", "complexity")
"""Below the report's folder, each as .png and .pdf."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the explanations are made of; the in-distribution set first in all sequences."""

    folder: pathlib.Path
    """Of the report."""
    tables: Sequence[ScoreTable]
    """Of all sets."""
    kept: Sequence[Kept]
    labels: Sequence[str]
    summary: Mapping[str, Any]
    """Of `summary.summarize`."""
    slopes: Mapping[str, np.ndarray] | None
    """Of `curvature.read`."""
    progress: Mapping[int, Mapping[str, Scored]] = dataclasses.field(default_factory=dict)
    """Of `progress.read`."""

    def files(self, name: str) -> list[pathlib.Path]:
        """The files of a figure, such as those of `FIGURES`, the PNG first."""
        return [self.folder / f"{name}.png", self.folder / f"{name}.pdf"]

    def without_reduced(self) -> list[int]:
        """Numbers of the sets that are not the own images with less contrast."""
        return [i for i, table in enumerate(self.tables) if not analysis.reduction(table)]


def explain(evidence: Evidence) -> tuple[dict[str, Any], list[str]]:
    """Computes, draws and words every explanation that the tables allow.

    Returns:
      The numbers, by explanation, JSON-able, for `summary.json`; and sections of HTML.

    Raises:
      EvaluationError: tables that do not belong together.
    """
    for name in FIGURES:
        for path in evidence.files(name):  # of an earlier report about other sets
            path.unlink(missing_ok=True)
    numbers, sections = {}, [_roc(evidence), _extremes(evidence)]
    for name, part in _PARTS.items():
        if (found := part(evidence)) is not None:
            numbers[name], section = found
            sections.append(section)
    return numbers, sections


def _roc(evidence: Evidence) -> str:
    shown = evidence.without_reduced()
    if len(shown) < 2:
        return ""
    tables = [evidence.tables[i] for i in shown]
    labels = []
    for table in tables[1:]:
        entry = evidence.summary["datasets"][table.key]
        metrics = entry["scores"]["log_prob"]
        low, high = metrics["auroc_interval"]
        auroc = f"AUROC {metrics['auroc']:.3f} ({low:.3f} to {high:.3f})"
        labels.append(f"{entry['label']}, {auroc}")
    diagnosis_plots.roc_curves(tables, labels, evidence.files("roc"))
    caption = (
        "Every threshold on the likelihood is a point; a useful detector is above the diagonal, "
        "and below it foreign images are likelier than the model's own."
    )
    return html.section(
        "ROC curves",
        html.figure("roc", evidence.files("roc")[0], f"ROC curves: {'; '.join(labels)}", caption),
    )


def _extremes(evidence: Evidence) -> str:
    paths = evidence.files("extremes")
    tables, kept, labels = (
        [part[i] for i in evidence.without_reduced()]
        for part in (evidence.tables, evidence.kept, evidence.labels)
    )
    diagnosis_plots.extreme_images(tables, kept, labels, paths)
    alt = f"The likeliest and unlikeliest images of {', '.join(labels)}"
    caption = (
        "What the model finds likeliest and unlikeliest of every set; most extreme to the left."
    )
    return html.section(
        "The likeliest and the unlikeliest images",
        html.figure("extremes", paths[0], alt, caption),
    )


def _progress(evidence: Evidence) -> tuple[dict[str, Any], str] | None:
    own, *others = (evidence.tables[i].key for i in evidence.without_reduced())
    found = over_training(evidence.progress, own, others)
    if found is None:
        return None
    labels = {t.key: label for t, label in zip(evidence.tables, evidence.labels, strict=True)}
    return found, training_curve.section(found, labels, evidence.files("progress"))


def _terms(evidence: Evidence) -> tuple[dict[str, Any], str] | None:
    """Latent density against volume, of flows."""
    found = [analysis.decomposition(table) for table in evidence.tables]
    if None in found:
        return None
    shown = evidence.without_reduced()
    paths = evidence.files("terms")
    diagnosis_plots.decomposition(
        [evidence.tables[i] for i in shown], [evidence.labels[i] for i in shown], paths
    )
    own = found[0]
    rows = [
        [
            html.escape(label),
            f"{terms['latent_mean']:,.1f}",
            f"{terms['volume_mean']:,.1f}",
            *(_gap(terms[f"{name}_mean"] - own[f"{name}_mean"]) for name in ("latent", "volume")),
        ]
        for label, terms in zip(evidence.labels, found, strict=True)
    ]
    header = ["Set", "latent", "volume", "latent, more than own", "volume, more than own"]
    residual = max(terms["residual_per_dim"] for terms in found)
    caption = "Means in nats per image"
    words = (
        "<p>A flow&rsquo;s likelihood is log&nbsp;p(x) = log&nbsp;p(z) + log|det&nbsp;dz/dx|: how "
        "likely the latent is, and how much the flow stretches space around the image. "
        f"{html.escape(_larger_term(evidence, found))} The two add up to log&nbsp;p(x) within "
        f"{residual:.1e} nats per dimension for every image.</p>"
    )
    figure = html.figure(
        "terms", paths[0], "Histograms of the two terms of the likelihood", "The two terms by set."
    )
    body = words + figure + html.table(caption, header, rows, "metrics")
    numbers = dict(zip([t.key for t in evidence.tables], found, strict=True))
    return numbers, html.section("Latent density and volume", body)


def _gap(nats: float) -> str:
    return f"{round(nats, 1) + 0.0:+,.1f}"  # no "-0.0"


def _larger_term(evidence: Evidence, found: Sequence[Mapping[str, float]]) -> str:
    """A sentence for each foreign set on which term makes it likelier or unlikelier."""
    if analysis.has_constant_volume(evidence.tables):
        return "Here the volume is the same for every image; all differences are the latent's."
    own, sentences = found[0], []
    for i in evidence.without_reduced()[1:]:
        gaps = {
            name: found[i][f"{name}_mean"] - own[f"{name}_mean"] for name in ("latent", "volume")
        }
        total = sum(gaps.values())
        pull = {name: gap * np.sign(total) for name, gap in gaps.items()}
        term = max(pull, key=pull.get)
        words = "likelier" if total > 0 else "unlikelier"
        sentences.append(
            f"{evidence.labels[i]} is {words} by {abs(total):,.0f} nats per image: "
            f"{gaps['latent']:+,.0f} by the latent density and {gaps['volume']:+,.0f} by the "
            f"volume, mostly the {term}."
        )
    return " ".join(sentences)


def _second_order(evidence: Evidence) -> tuple[dict[str, Any], str] | None:
    if evidence.slopes is None:
        return None
    return second_order.section(evidence.slopes, evidence.tables, evidence.kept, evidence.labels)


def _contrast(evidence: Evidence) -> tuple[dict[str, Any], str] | None:
    sweeps = analysis.sweeps(evidence.tables[0], evidence.tables[1:])
    if not sweeps:
        return None
    paths = evidence.files("contrast")
    diagnosis_plots.contrast(sweeps, paths)
    words = {"contrast": "towards the mean of each image", "dimmed": "towards black"}
    sentences = " ".join(
        f"Moved {words[kind]}, rank correlation of falling contrast and likelihood "
        f"{sweep['spearman_of_means']:+.2f} (means), {sweep['spearman_of_images']:+.2f} "
        "(of each image, averaged)."
        for kind, sweep in sweeps.items()
    )
    caption = f"Means and 90 % of the images. {sentences}"
    alt = f"Likelihood of {evidence.labels[0]} against contrast. {sentences}"
    text = (
        "<p>If variance is what counts, the model&rsquo;s own images must become likelier as their "
        "contrast falls.</p>"
    )
    figure = html.figure("contrast", paths[0], alt, caption)
    return sweeps, html.section("Likelihood against contrast", text + figure)


def _gray_levels(evidence: Evidence) -> tuple[dict[str, Any], str] | None:
    for table in evidence.tables[1:]:
        if (found := analysis.gray_levels(table, evidence.tables[0])) is not None:
            paths = evidence.files("gray_levels")
            diagnosis_plots.gray_levels(table, evidence.tables[0], evidence.labels[0], paths)
            caption = (
                f"{found['share_above_own']:.0%} of the gray levels are likelier than the median "
                f"image of {evidence.labels[0]}; the likeliest is {found['likeliest']}, the "
                f"unlikeliest {found['unlikeliest']} (of 0 to 255)."
            )
            figure = html.figure("gray_levels", paths[0], f"A curve. {caption}", caption)
            return found, html.section("Constant images", figure)
    return None


def _complexity(evidence: Evidence) -> tuple[dict[str, Any], str]:
    found = [analysis.complexity(table) for table in evidence.tables]
    shown = evidence.without_reduced()
    paths = evidence.files("complexity")
    diagnosis_plots.complexity(
        [evidence.tables[i] for i in shown], [evidence.labels[i] for i in shown], paths
    )
    rows = [
        [
            html.escape(label),
            _correlation(entry["spearman"]),
            _correlation(entry["pearson"]),
            f"{entry['png_bits_per_dim']:.2f}",
        ]
        for label, entry in zip(evidence.labels, found, strict=True)
    ]
    header = ["Set", "rank correlation", "correlation", "PNG, bits/dim"]
    caption = "Each mark is an image. What compresses well is likely, whatever it shows."
    body = (
        html.figure("complexity", paths[0], "Likelihood against PNG size, by set", caption)
        + html.table("log p(x) and the size as a PNG file", header, rows, "metrics")
    )  # fmt: skip
    numbers = dict(zip([t.key for t in evidence.tables], found, strict=True))
    return numbers, html.section("Likelihood against complexity", body)


def _correlation(value: float | None) -> str:
    return "&ndash;" if value is None else f"{value:+.2f}"


_PARTS: dict[str, Callable[[Evidence], tuple[dict[str, Any], str] | None]] = {
    "progress": _progress,
    "terms": _terms,
    "second_order": _second_order,
    "contrast": _contrast,
    "gray_levels": _gray_levels,
    "complexity": _complexity,
}
