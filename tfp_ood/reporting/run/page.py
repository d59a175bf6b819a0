"""The report as one HTML file that holds its pictures and asks for nothing from outside."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood.reporting import html, names
from tfp_ood.reporting.verdict import changes, split_sets, verdict

_HOW_TO_READ = """<ul>
<li>The score of an image is &minus;log&nbsp;p(x): what the model finds unlikely is called foreign.
Out-of-distribution is the positive class.</li>
<li><b>AUROC</b> is the chance that a foreign image scores above one of the model&rsquo;s own.
1 is perfect, 0.5 is a coin. <b>Below 0.5 is the failure this program is about</b>: the model
finds foreign images likelier than its own.</li>
<li><b>AUPRC</b> is the average precision with the foreign (out) or the own (in) images as
positive. It depends on the sizes of the sets, so its chance level is given with it.</li>
<li><b>FPR95</b> is the share of the model&rsquo;s own images that are flagged when 95&nbsp;% of the
foreign ones are caught; lower is better. (Papers in the other lineage accept 95&nbsp;% of the own
images and count the foreign ones among them: another number.)</li>
<li><b>Bits per dimension</b> is &minus;log<sub>2</sub>&nbsp;p(x) divided by the number of pixel
values of an image; lower is likelier, and guessing each value at random costs 8. The &plusmn; is
the standard deviation over images.</li>
<li>The <b>ranges</b> below figures are 95&nbsp;% bootstrap intervals: what they owe to which images
were scored. They say nothing about how another training would have come out.</li>
</ul>"""

_HISTOGRAM_CAPTION = (
    "Likelihoods of all sets under one model; further right is likelier. "
    "Every set has an area of 1, with what is off the axis."
)

_KINDS = {
    "exact": "exact log p(x)",
    "bound": "a lower bound of log p(x), {num_draws} noise draw(s) per image",
}


def write_page(
    report_dir: str | os.PathLike[str],
    summary: Mapping[str, Any],
    histogram: str | os.PathLike[str],
    samples: str | os.PathLike[str] | None = None,
    config: Mapping[str, Any] | None = None,
    reconstructions: str | os.PathLike[str] | None = None,
    reconstructed: Sequence[str] = (),
    diagnosis: Sequence[str] = (),
) -> pathlib.Path:
    """Writes REPORT_DIR/index.html.

    Args:
      report_dir: folder; made if need be.
      summary: of `summary.summarize`.
      histogram: PNG of `plots.likelihood_histogram`.
      samples: PNG of `plots.sample_grid`, if the model has been sampled.
      config: nested settings of the experiment to list, if known.
      reconstructions: PNG of `plots.reconstruction_grid`, if the model can reconstruct.
      reconstructed: what the sets in it are called, from the top.
      diagnosis: further sections, HTML (`diagnosis.explain`).

    Returns:
      The path of the page.
    """
    own, _ = split_sets(summary)
    family = names.family(summary["model"]["family"])
    title = f"Does {family}, trained on {own['label']}, know what it does not know?"
    sections = [
        html.verdict_list(verdict(summary)),
        html.figure("likelihoods", histogram, _histogram_alt(summary), _HISTOGRAM_CAPTION),
        _metrics_table(summary),
        html.section("How to read this", _HOW_TO_READ),
        *diagnosis,
        _samples_section(samples, own["label"]),
        _reconstructions_section(reconstructions, reconstructed),
        _model_section(summary["model"]),
        _preparation_section(summary),
        html.config_section(config),
    ]
    return html.write(report_dir, title, sections)


def _histogram_alt(summary: Mapping[str, Any]) -> str:
    means = "; ".join(
        f"{entry['label']} {entry['log_prob_mean']:,.0f}" for entry in summary["datasets"].values()
    )
    return f"Histograms of log-likelihood. Means in nats per image: {means}."


def _samples_section(path: str | os.PathLike[str] | None, own_label: str) -> str:
    if path is None:
        body = "<p>This model has not been sampled yet; --mode=sample does it.</p>"
    else:
        alt = f"A grid of images drawn from the model of {own_label}"
        caption = "Drawn from the model: what it takes for its own kind."
        body = html.figure("samples", path, alt, caption)
    return html.section("Samples", body)


def _reconstructions_section(path: str | os.PathLike[str] | None, labels: Sequence[str]) -> str:
    """Nothing for models that cannot reconstruct."""
    if path is None:
        return ""
    caption = (
        f"From the top, two rows each: {', '.join(labels)}. The upper row are images of the set, "
        "the lower what the model makes of them through its latent."
    )
    alt = f"Images of {', '.join(labels)} and their reconstructions"
    return html.section("Reconstructions", html.figure("reconstructions", path, alt, caption))


def _metrics_table(summary: Mapping[str, Any]) -> str:
    own, foreign = split_sets(summary)
    # What matters most is to the left, where a phone shows it without scrolling.
    header = ["Set", "AUROC", "FPR95", "bits/dim", "AUPRC out", "AUPRC in", "n"]
    rows = [_metrics_row(own, ["&ndash;"] * 4)]
    rows += [_metrics_row(entry, _score_cells(entry, own["num_images"])) for entry in foreign]
    caption = "Likelihood as a detector"
    return html.section("Figures", html.table(caption, header, rows, "metrics"))


def _metrics_row(entry: Mapping[str, Any], score_cells: Sequence[str]) -> list[str]:
    auroc, fpr95, auprc_out, auprc_in = score_cells
    bits = f"{entry['bits_per_dim_mean']:.3f}&nbsp;&plusmn;&nbsp;{entry['bits_per_dim_std']:.3f}"
    count = f"{entry['num_images']:,}"
    return [html.escape(entry["label"]), auroc, fpr95, bits, auprc_out, auprc_in, count]


def _score_cells(entry: Mapping[str, Any], num_own: int) -> list[str]:
    metrics = entry["scores"]["log_prob"]
    chance = entry["num_images"] / (entry["num_images"] + num_own)
    return [
        html.with_interval(metrics, "auroc"),
        html.with_interval(metrics, "fpr95"),
        html.with_interval(metrics, "auprc_out") + html.small(f"chance {chance:.3f}"),
        html.with_interval(metrics, "auprc_in") + html.small(f"chance {1 - chance:.3f}"),
    ]


def _model_section(model: Mapping[str, Any]) -> str:
    likelihood = _KINDS[model["kind"]].format(num_draws=model["num_draws"])
    rows = [
        ["family", names.family(model["family"])],
        ["parameters", f"{model['num_parameters']:,}"],
        ["likelihood", likelihood],
    ]
    shown = ("family", "num_parameters", "kind", "num_draws")
    rows += [[key.replace("_", " "), value] for key, value in model.items() if key not in shown]
    return html.section("Model", html.facts_table("What was scored with", rows))


def _preparation_section(summary: Mapping[str, Any]) -> str:
    rows = []
    for key, entry in summary["datasets"].items():
        rows.append([entry["label"], key, _shape(entry["native_shape"]), changes(entry)])
    cells = [[html.escape(cell) for cell in row] for row in rows]
    header = ["Set", "as given", "native size", "images were"]
    body = html.table("What was done to the images", header, cells, "facts")
    return html.section("Preparation", body)


def _shape(shape: Sequence[int | None]) -> str:
    return " x ".join("varying" if size is None else str(size) for size in shape)
