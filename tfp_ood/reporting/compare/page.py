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
from tfp_ood.reporting.judged import JudgedSet, read_held_out
from tfp_ood.reporting.outcome import CAUGHT
from tfp_ood.reporting.runs import Run, open_page_folder, read_runs
from tfp_ood.reporting.shares import percent
from tfp_ood.reporting.summary import SHOWN_METRICS, Metrics, SetSummary, auroc_words, to_json


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
        html.section("Figures", "\n".join(_tables(runs))),
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

_SHOWN = (detectors.LIKELIHOOD, detectors.COMBINED)
"""The detectors with tables and ROC curves of their own."""

_BELOW = {
    detectors.LIKELIHOOD: "likelier than the model's own",
    detectors.COMBINED: "more usual than the model's own to all detectors together",
}


def comparison_outcome(runs: Sequence[Run]) -> list[str]:
    """What the runs show together: sentences on likelihood and, where there is one, the guard."""
    pairs = [(one, f"{one.label} under {run.label}") for run in runs for one in run.out_sets]
    if not pairs:
        raise EvaluationError(
            "The runs were judged against no foreign set but reduced contrast; run --mode=run of "
            "each with a foreign set in config.data.out_of_distribution."
        )
    return [*_on_likelihood(pairs), *_on_the_guard(pairs)]


_Pairs = Sequence[tuple[JudgedSet, str]]
"""Foreign sets, and what they and the model are called."""


def _on_likelihood(pairs: _Pairs) -> list[str]:
    judged = sorted(((one.about.likelihood, name) for one, name in pairs), key=_by_auroc)
    named = [f"{name}, {auroc_words(metrics)}" for metrics, name in judged]
    num_failed = sum(metrics["auroc_interval"][1] < 0.5 for metrics, _ in judged)
    num_caught = sum(round(metrics["auroc"], 3) >= CAUGHT for metrics, _ in judged)
    first = (
        f"In {num_failed} of {len(pairs)} pairs of a model and a foreign set likelihood prefers "
        "the foreign images (AUROC below 0.5 with its whole interval); lowest is "
        f"{named[0]}."
    )
    if num_caught:
        caught = ", ".join(named[-num_caught:])  # they are sorted
        return [first, f"Likelihood catches (AUROC of at least {CAUGHT}) {num_caught}: {caught}."]
    return [first, f"It catches none (AUROC of at least {CAUGHT}); best is {named[-1]}."]


def _on_the_guard(pairs: _Pairs) -> list[str]:
    """Nothing where no run has a guard."""
    guarded = [(one.about.flagged, name) for one, name in pairs if one.about.flagged is not None]
    combined = [(one.about.combined, name) for one, name in pairs if one.about.combined]
    sentences = []
    if guarded:
        num_caught = sum(round(share, 3) >= CAUGHT for share, _ in guarded)
        share, name = min(guarded)
        sentences.append(
            f"The guard catches at least {percent(CAUGHT)} of the foreign images in {num_caught} "
            f"of {len(guarded)} pairs; fewest are {percent(share, 1)} of {name}."
        )
    if combined:
        metrics, name = min(combined, key=_by_auroc)
        sentences.append(
            f"All detectors combined have their lowest AUROC on {name}, {auroc_words(metrics)}."
        )
    return sentences


def _by_auroc(pair: tuple[Metrics, str]) -> float:
    return pair[0]["auroc"]


def _judges(runs: Sequence[Run]) -> list[str]:
    """The detectors that judged any of the runs, in the registry's order."""
    used = {name for run in runs for name in run.summary.detector_names}
    return [name for name in detectors.DETECTORS if name in used]


def _tables(runs: Sequence[Run]) -> list[str]:
    """What likelihood and the guard do, the AUROC of every detector, and further metrics."""
    judges = _judges(runs)
    shown = "\n".join(_metrics_table(runs, name) for name in judges if name in _SHOWN)
    return [
        _outcome_table(runs),
        _auroc_table(runs, judges),
        html.folded("FPR95 and AUPRC of likelihood, and of all detectors combined", shown),
    ]


def _outcome_table(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        in_set, model, train = run.in_set, run.summary.model, run.config["train"]
        in_cell = html.with_small(f"{in_set.about.bits_per_dim_mean:.3f}", in_set.label)
        steps = f"{train['num_steps']:,} steps of {train['batch_size']}"
        about = [f"{model['num_parameters']:,}", steps, model["kind"]]
        for one in run.out_sets:
            likelihood = html.with_interval(one.about.likelihood, "auroc")
            bits = f"{one.about.bits_per_dim_mean:.3f}"
            cells = [run.label, one.label, likelihood, *_guard_cells(one.about), in_cell, bits]
            rows.append([*cells, *about])
    header = ["Run", "Foreign set", "AUROC, likelihood", "AUROC, all combined",
              "flagged by the guard", "by low likelihood alone", "bits/dim, own",
              "bits/dim, foreign", "parameters", "training", "log p(x)"]  # fmt: skip
    caption = (
        "With 95 % intervals over images, of these trained models. A bound of log p(x) makes "
        "bits/dim too high, never too low."
    )
    return html.table(caption, header, rows, "metrics")


def _guard_cells(about: SetSummary) -> list[str]:
    """AUROC of all combined, and the shares that the guard flags and likelihood would."""
    combined = html.with_interval(about.combined, "auroc") if about.combined else html.DASH
    if about.flagged is None:
        return [combined, html.DASH, html.DASH]
    by_likelihood = f"{100 * about.flagged_by_likelihood:.1f} %"
    return [combined, html.share(about.flagged, about.flagged_interval), by_likelihood]


def _auroc_table(runs: Sequence[Run], judges: Sequence[str]) -> str:
    """A row for each run and foreign set, a column for each detector."""
    rows = []
    for run in runs:
        for one in run.out_sets:
            scores = one.about.scores
            found = {name: scores[name]["auroc"] for name in judges if name in scores}
            best = max(value for name, value in found.items() if name != detectors.COMBINED)
            cells = {name: f"{value:.3f}" for name, value in found.items()}
            cells |= {name: html.bold(cells[name]) for name in found if found[name] == best}
            rows.append(
                [f"{run.label}: {one.label}", *(cells.get(name, html.DASH) for name in judges)]
            )
    header = ["Run and foreign set", *(detectors.DETECTORS[name].title for name in judges)]
    caption = (
        "AUROC of every detector; bold: the best single one. Intervals are on the runs' pages."
    )
    return html.table(caption, header, rows, "metrics")


def _metrics_table(runs: Sequence[Run], name: str) -> str:
    """The metrics of a detector."""
    rows = []
    for run in runs:
        for one in run.out_sets if name in run.summary.detector_names else ():
            metrics = one.about.scores[name]
            cells = (html.with_interval(metrics, metric) for metric in SHOWN_METRICS)
            rows.append([run.label, one.label, *cells])
    header = ["Run", "Foreign set", "AUROC", "FPR95, foreign positive", "FPR95, own positive",
              "AUPRC out", "AUPRC in"]  # fmt: skip
    title = detectors.DETECTORS[name].title
    return html.table(f"{title} as a detector", header, rows, "metrics")


def _roc_section(runs: Sequence[Run], report: pathlib.Path) -> str:
    """A figure of ROC curves for likelihood, and one for all detectors combined."""
    for path in report.glob("roc*.p*"):  # of an earlier page
        path.unlink()
    panels = [
        detectors.panel(read_held_out(run.workdir, run.in_set.table), [s.table for s in run.sets])
        for run in runs
    ]
    parts = []
    for name in _SHOWN:
        judged = [
            (run, panel.detectors[name])
            for run, panel in zip(runs, panels, strict=True)
            if name in panel.detectors and name in run.summary.detector_names
        ]
        if not judged:
            continue
        title = detectors.DETECTORS[name].title
        stem = report / ("roc" if name == detectors.LIKELIHOOD else f"roc-{name}")
        alt = f"{title}: ROC curves of " + ", ".join(run.label for run, _ in judged)
        words = (
            f"{title}. Colours are runs, lines are foreign sets. Below the diagonal foreign images "
            f"are {_BELOW[name]}."
        )
        parts.append(html.drawn("roc", plots.roc_curves(judged), stem, alt, words))
    return html.section("ROC curves", "\n".join(parts))


def _facts(run: Run) -> dict[str, Any]:
    datasets = to_json(run.summary)["datasets"]
    return {"label": run.label, "weights": run.weights, "config": run.config, "datasets": datasets}
