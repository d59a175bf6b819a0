"""Several finished runs -> one page that lays them side by side."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from tfp_ood import atomic, detectors
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import html
from tfp_ood.reporting.compare import ensemble, plots
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.judged import read_held_out
from tfp_ood.reporting.runs import Run, open_page_folder, read_runs
from tfp_ood.reporting.summary import SHOWN_METRICS, auroc_words, to_json

_CAUGHT = 0.95


def write_comparison(
    workdirs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> ReportResult:
    """Writes FOLDER/report/: index.html, comparison.json, and likelihoods and roc as PNG and PDF.

    Reads only score tables, `summary.json` and `config.json` of the runs.

    Args:
      workdirs: of finished runs.
      folder: another one.

    Raises:
      EvaluationError: a run is not finished, its tables are damaged, or `folder` is one of them.
    """
    runs = read_runs(workdirs)
    report = open_page_folder(workdirs, folder)
    sentences = comparison_outcome(runs)
    ensembles, ensemble_section = ensemble.section(runs)
    histograms, alt = plots.likelihoods(runs), " ".join(sentences)
    sections = [
        html.drawn("likelihoods", histograms, report / "likelihoods", alt, _HISTOGRAMS),
        html.section("Figures", "\n".join(_table(runs, name) for name in _judges(runs))),
        _roc_section(runs, report),
        ensemble_section,
    ]
    page = html.write(report, "Several models, side by side", sentences, sections)
    facts = {"verdict": sentences, "runs": [_facts(run) for run in runs], "ensembles": ensembles}
    atomic.write_json(report / "comparison.json", facts)
    return page


_HISTOGRAMS = (
    "A panel for each run, all over the same axis of bits per dimension; further right is "
    "likelier. Gray is the model's own test set; triangles are means."
)

_ROC = "Colours are runs, lines are foreign sets. Below the diagonal foreign images are likelier."


def comparison_outcome(runs: Sequence[Run]) -> list[str]:
    """Two sentences on what the runs show together."""
    pairs = [
        (one.about.likelihood, f"{one.label} under {run.label}")
        for run in runs
        for one in run.out_sets
    ]
    if not pairs:
        raise EvaluationError("The runs were judged against no foreign set but reduced contrast.")
    pairs.sort(key=lambda pair: pair[0]["auroc"])
    named = [f"{name}, {auroc_words(metrics)}" for metrics, name in pairs]
    num_failed = sum(metrics["auroc_interval"][1] < 0.5 for metrics, _ in pairs)
    num_caught = sum(metrics["auroc"] >= _CAUGHT for metrics, _ in pairs)
    first = (
        f"In {num_failed} of {len(pairs)} pairs of a model and a foreign set likelihood prefers "
        "the foreign images (AUROC below 0.5 with its whole interval); lowest is "
        f"{named[0]}."
    )
    if num_caught:
        caught = ", ".join(named[-num_caught:])  # they are sorted
        return [first, f"Likelihood catches (AUROC of at least {_CAUGHT}) {num_caught}: {caught}."]
    return [first, f"It catches none (AUROC of at least {_CAUGHT}); best is {named[-1]}."]


def _judges(runs: Sequence[Run]) -> list[str]:
    """The detectors that judged any of the runs, in the registry's order."""
    used = {name for run in runs for name in run.summary.detector_names}
    return [name for name in detectors.DETECTORS if name in used]


def _table(runs: Sequence[Run], detector: str) -> str:
    """The metrics of a detector."""
    header = ["Run", "Foreign set", "AUROC", "FPR95", "bits/dim, own", "bits/dim, foreign",
              "AUPRC out", "AUPRC in", "parameters", "training", "log p(x)"]  # fmt: skip
    rows = []
    for run in runs:
        in_set, model, train = run.in_set, run.summary.model, run.config["train"]
        in_cell = html.with_small(f"{in_set.about.bits_per_dim_mean:.3f}", in_set.label)
        steps = f"{train['num_steps']:,} steps of {train['batch_size']}"
        about = [f"{model['num_parameters']:,}", steps, model["kind"]]
        for one in run.out_sets if detector in run.summary.detector_names else ():
            metrics, bits = one.about.scores[detector], f"{one.about.bits_per_dim_mean:.3f}"
            auroc, fpr95, *auprc = (html.with_interval(metrics, name) for name in SHOWN_METRICS)
            rows.append([run.label, one.label, auroc, fpr95, in_cell, bits, *auprc, *about])
    caption = (
        "With 95 % bootstrap intervals over images, of these trained models. A bound of log p(x) "
        "makes bits/dim too high, never too low."
    )
    if detector != detectors.LIKELIHOOD:
        caption = f"{detectors.DETECTORS[detector].title} as a detector. {caption}"
    return html.table(caption, header, rows, "metrics")


def _roc_section(runs: Sequence[Run], report: pathlib.Path) -> str:
    """A figure of ROC curves for each detector."""
    parts = []
    made = [
        detectors.fitted(read_held_out(run.workdir, run.in_set.table), [s.table for s in run.sets])
        for run in runs
    ]
    for name in _judges(runs):
        judged = [(run, ones[name]) for run, ones in zip(runs, made, strict=True) if name in ones]
        is_likelihood = name == detectors.LIKELIHOOD
        stem = report / ("roc" if is_likelihood else f"roc-{name}")
        begins = "ROC curves" if is_likelihood else f"{detectors.DETECTORS[name].title}: ROC curves"
        alt = f"{begins} of " + ", ".join(run.label for run, _ in judged)
        words = _ROC if is_likelihood else f"{begins}. Colours are runs, lines are foreign sets."
        parts.append(html.drawn("roc", plots.roc_curves(judged), stem, alt, words))
    return html.section("ROC curves", "\n".join(parts))


def _facts(run: Run) -> dict[str, Any]:
    datasets = to_json(run.summary)["datasets"]
    return {"label": run.label, "config": run.config, "datasets": datasets}
