"""Several finished runs -> one page that lays them side by side."""

import os
from collections.abc import Sequence
from typing import Any

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import ensemble, html
from tfp_ood.reporting.compare import plots as compare_plots
from tfp_ood.reporting.run.report import ReportResult
from tfp_ood.reporting.runs import Run, open_page_folder, read_runs

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
    report = open_page_folder(workdirs, folder) / "report"
    pictures = {name: [report / f"{name}.{kind}" for kind in ("png", "pdf")] for name in _FIGURES}
    compare_plots.likelihoods(runs, pictures["likelihoods"])
    compare_plots.roc_curves(runs, pictures["roc"])
    sentences = verdict(runs)
    ensembles, ensemble_section = ensemble.compare(runs)
    said = " ".join(sentences)
    sections = [
        html.verdict_list(sentences),
        html.figure("likelihoods", pictures["likelihoods"][0], said, _HISTOGRAMS),
        _table(runs),
        html.section("ROC curves", html.figure("roc", pictures["roc"][0], _roc_alt(runs), _ROC)),
        ensemble_section,
    ]
    path = html.write(report, "Several models, side by side", sections)
    facts = {"verdict": sentences, "runs": [_facts(run) for run in runs], "ensembles": ensembles}
    atomic.write_json(report / "comparison.json", facts)
    return ReportResult(path, sentences)


_FIGURES = ("likelihoods", "roc")

_HISTOGRAMS = (
    "A panel for each run, all over the same axis of bits per dimension; further right is "
    "likelier. Gray is the model's own test set; triangles are means."
)

_ROC = "Colours are runs, lines are foreign sets. Below the diagonal foreign images are likelier."


def verdict(runs: Sequence[Run]) -> list[str]:
    """Two sentences on what the runs show together."""
    pairs = [
        (run.metrics(table), f"{run.entry(table)['label']} under {run.label}")
        for run in runs
        for table in run.tables[1:]
    ]
    if not pairs:
        raise EvaluationError("The runs were judged against no foreign set but reduced contrast.")
    pairs.sort(key=lambda pair: pair[0]["auroc"])
    failed = [pair for pair in pairs if pair[0]["auroc_interval"][1] < 0.5]
    caught = [pair for pair in pairs if pair[0]["auroc"] >= _CAUGHT]
    first = (
        f"In {len(failed)} of {len(pairs)} pairs of a model and a foreign set likelihood prefers "
        "the foreign images (AUROC below 0.5 with its whole interval); lowest is "
        f"{_named(pairs[0])}."
    )
    if caught:
        names = ", ".join(_named(pair) for pair in caught)
        return [first, f"Likelihood catches (AUROC of at least {_CAUGHT}) {len(caught)}: {names}."]
    return [first, f"It catches none (AUROC of at least {_CAUGHT}); best is {_named(pairs[-1])}."]


def _named(pair: tuple[dict[str, Any], str]) -> str:
    metrics, name = pair
    low, high = metrics["auroc_interval"]
    return f"{name}, {metrics['auroc']:.3f} ({low:.3f} to {high:.3f})"


def _table(runs: Sequence[Run]) -> str:
    header = ["Run", "Foreign set", "AUROC", "FPR95", "bits/dim, own", "bits/dim, foreign",
              "AUPRC out", "AUPRC in", "parameters", "training", "log p(x)"]  # fmt: skip
    rows = []
    for run in runs:
        own, model = run.entry(run.tables[0]), run.summary["model"]
        train = run.config["train"]
        for table in run.tables[1:]:
            entry, metrics = run.entry(table), run.metrics(table)
            rows.append(
                [
                    html.escape(run.label),
                    html.escape(entry["label"]),
                    html.with_interval(metrics, "auroc"),
                    html.with_interval(metrics, "fpr95"),
                    f"{own['bits_per_dim_mean']:.3f}" + html.small(html.escape(own["label"])),
                    f"{entry['bits_per_dim_mean']:.3f}",
                    html.with_interval(metrics, "auprc_out"),
                    html.with_interval(metrics, "auprc_in"),
                    f"{model['num_parameters']:,}",
                    f"{train['num_steps']:,} steps of {train['batch_size']}",
                    model["kind"],
                ]
            )
    caption = (
        "With 95 % bootstrap intervals over images, of these trained models. A bound of log p(x) "
        "makes bits/dim too high, never too low."
    )
    return html.section("Figures", html.table(caption, header, rows, "metrics"))


def _roc_alt(runs: Sequence[Run]) -> str:
    return "ROC curves of " + ", ".join(run.label for run in runs)


def _facts(run: Run) -> dict[str, Any]:
    return {"label": run.label, "config": run.config, "datasets": run.summary["datasets"]}
