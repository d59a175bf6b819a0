"""Finished runs beside the figures and findings of the paper, on one page."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import html, names
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.paper import facts, match, plots
from tfp_ood.reporting.paper.facts import FINDINGS, NUMBERS, STATUS, Number
from tfp_ood.reporting.paper.findings import PAIRS, Measured, measured, pairs_of
from tfp_ood.reporting.runs import Run, open_page_folder, read_runs

_QUANTITIES = {"bits_per_dim": "bits/dim", "auroc": "AUROC", "fpr95": "FPR95"}

_HEADINGS = {
    "foreign_likelier": ("Foreign images are likelier", "likelihoods.png"),
    "reverse": ("The reverse direction", "likelihoods.png"),
    "volume": ("Which term it is", "terms.png"),
    "constant_volume": ("With constant volume", "likelihoods.png"),
    "second_order": ("Predicted from variances", None),
    "contrast": ("Less contrast", "contrast.png"),
    "constant": ("Constant images and noise", "gray_levels.png"),
    "ensemble": ("Ensembles", None),
}
"""Finding -> its title, and the picture of a run's report that is its counterpart."""


def write_paper_page(
    workdirs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]
) -> ReportResult:
    """Writes FOLDER/report/: index.html, paper.json, and numbers as PNG and PDF.

    Reads only score tables, `config.json` and the reports of the runs.

    Args:
      workdirs: of finished runs.
      folder: another one.

    Raises:
      EvaluationError: a run is not finished, its tables are damaged, or `folder` is one of them.
    """
    runs = read_runs(workdirs)
    report = open_page_folder(workdirs, folder)
    rows = [
        (number, run, ours)
        for number in NUMBERS
        for run in runs
        if (ours := _ours(number, run)) is not None
    ]
    found = measured(runs)
    sentences = paper_outcome(rows, found)
    sections = [
        _histograms_section(runs, report),
        _numbers_section(rows, report),
        _guard_section(runs),
        _setups(runs),
        *(_finding_section(name, found[name]) for name in FINDINGS),
        _moments_section(runs),
    ]
    page = html.write(report, "The paper's figures, and ours", sentences, sections)
    measures = [
        {
            **dataclasses.asdict(number),
            "ours": value,
            "run": run.label,
            "is_smaller": match.is_smaller(run),
        }
        for number, run, value in rows
    ]
    findings = {
        name: [
            {"run": o.run.label, "about": o.about, "measured": o.figures, "agrees": o.agrees}
            for o in ones
        ]
        for name, ones in found.items()
    }
    models = [{"run": run.label, "weights": run.weights} for run in runs]
    said = {
        "runs": models,
        "numbers": measures,
        "guard": _guarded(runs),
        "findings": findings,
    }
    atomic.write_json(report / "paper.json", said)
    return page


def _ours(number: Number, run: Run) -> float | None:
    """What a run measured of the same quantity; None where it did not."""
    is_same = match.kind(run) == number.model
    if not is_same or match.data_set(run.in_set.table.dataset) != number.trained_on:
        return None
    for one in run.sets:
        if match.data_set(one.table.dataset) == number.judged_on:
            if number.quantity == "bits_per_dim":
                return one.about.bits_per_dim_mean
            return one.about.likelihood[number.quantity]
    return None


def paper_outcome(
    rows: Sequence[tuple[Number, Run, float]], found: Mapping[str, Sequence[Measured]]
) -> list[str]:
    """What the page shows, in sentences that say at which size."""
    looked = {name: ones for name, ones in found.items() if ones}
    if not looked and not rows:
        raise EvaluationError(
            "None of the runs is of a model and pair of the paper: nothing to compare. Valid are "
            "runs of configs/paper.py, or of their pairs; --workdirs alone compares any runs."
        )
    held = sum(all(one.agrees for one in ones) for ones in looked.values())
    parts = sum(any(one.agrees for one in ones) for ones in looked.values()) - held
    runs = {run.label: run for _, run, _ in rows}
    runs |= {one.run.label: one.run for ones in looked.values() for one in ones}
    smaller = sum(map(match.is_smaller, runs.values()))
    first = (
        f"Of the paper's {len(FINDINGS)} findings listed here these runs speak to {len(looked)}: "
        f"{held} came out the same in every run, {parts} in some, "
        f"{len(looked) - held - parts} in none."
    )
    second = (
        f"{smaller} of {len(runs)} runs are smaller or shorter than the paper's, or not a model of "
        "it: they compare in direction, and reproduce none of its figures."
        if smaller
        else "All runs have at least the paper's size and steps, as far as these are known."
    )
    unverified = sum(number.status == facts.RECALLED for number in NUMBERS)
    third = (
        f"{unverified} of the {len(NUMBERS)} figures of others are recalled and not verified; "
        "they are marked."
    )
    return [first, second, third]


def _histograms_section(runs: Sequence[Run], report: Any) -> str:
    """Likelihoods on the paper's pairs, a panel for each run; "" where no run has any."""
    for path in report.glob("likelihoods.p*"):  # of an earlier page about other runs
        path.unlink()
    panels = []
    for run in runs:
        judged = [one for _, one in pairs_of(run, PAIRS)]
        if judged:
            panels.append((run.label, [run.in_set, *judged]))
    if not panels:
        return ""
    alt = f"Histograms of log-likelihood of {', '.join(title for title, _ in panels)}"
    words = (
        "As in the paper's figure 2: under each model its own test images (gray) and foreign ones; "
        "further right is likelier. Triangles are means."
    )
    drawing = plots.histograms(panels)
    return html.section(
        "Likelihoods", html.drawn("likelihoods", drawing, report / "likelihoods", alt, words)
    )


def _numbers_section(rows: Sequence[tuple[Number, Run, float]], report: Any) -> str:
    for path in report.glob("numbers.p*"):  # of an earlier page about other runs
        path.unlink()
    cells = []
    for number in NUMBERS:
        mine = [(run, value) for given, run, value in rows if given is number]
        quantity = _QUANTITIES[number.quantity]
        name = f"{names.family(number.model)}, {quantity}"
        pair = match.pair_name(number.trained_on, number.judged_on)
        theirs = html.with_small(f"{number.theirs:g}", STATUS[number.status])
        head = [html.with_small(name, pair), theirs]
        for run, value in mine:
            size = "smaller" if match.is_smaller(run) else "same size or larger"
            ours = html.with_small(f"{value:.3f}", f"{run.label}, {size}")
            cells.append([*head, ours, f"{value - number.theirs:+.3f}", number.source])
        if not mine:
            cells.append([*head, "not run", html.DASH, number.source])
    difference = html.Html("ours &minus; theirs")
    header = ["Trained on -> judged on", "theirs", "ours", difference, "source"]
    caption = "Same quantity, same unit, on test images. Sizes and budgets differ, see below."
    figure = ""
    if rows:
        alt = "A dot plot of the figures in the table below"
        words = (
            "Filled marks are ours; open circles others' figures, open squares those that are "
            "recalled and not verified."
        )
        figure = html.drawn("numbers", plots.numbers(rows), report / "numbers", alt, words)
    notes = f"<p>{html.escape(facts.NOT_COMPARED)}</p>"
    body = figure + html.table(caption, header, cells, "metrics") + notes
    return html.section("Figures", body)


def _guarded(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What all detectors combined and the guard do with the paper's pairs, for paper.json."""
    return [
        {
            "run": run.label,
            "pair": pair,
            "auroc_of_likelihood": one.about.likelihood["auroc"],
            "auroc_of_combined": one.about.combined["auroc"],
            "flagged": one.about.flagged,
        }
        for run in runs
        for pair, one in pairs_of(run, PAIRS)
        if one.about.combined
    ]


def _guard_section(runs: Sequence[Run]) -> str:
    """The paper's pairs by all detectors combined; "" where no run has them."""
    rows = []
    for run in runs:
        for pair, one in pairs_of(run, PAIRS):
            about = one.about
            if about.combined is None:
                continue
            aurocs = (html.with_interval(m, "auroc") for m in (about.likelihood, about.combined))
            flagged = html.DASH
            if about.flagged is not None:
                flagged = html.share(about.flagged, about.flagged_interval)
            rows.append([html.with_small(pair, run.label), *aurocs, flagged])
    if not rows:
        return ""
    header = ["Trained on -> judged on", "AUROC, likelihood", "AUROC, all combined",
              "flagged by the guard"]  # fmt: skip
    words = (
        "<p>The paper has no remedy. This is what the detectors of this program make of its pairs, "
        "fitted to held-out images of the model&rsquo;s own set alone.</p>"
    )
    caption = "Ours, with 95 % intervals over images"
    return html.section("With the guard", words + html.table(caption, header, rows, "metrics"))


def _setups(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        in_name = run.in_set.table.dataset
        notes = [match.set_note(one.table.dataset) for one in run.sets]
        differs = [*match.differences(run), *filter(None, notes)]
        cells = [run.label, names.data_set(match.data_set(in_name)), match.ours(run)]
        rows.append([*cells, match.theirs(run), "; ".join(differs)])
    header = ["Run", "trained on", "ours", html.Html("the paper's"), "what differs"]
    table = html.table("Size and budget of both", header, rows, "facts")
    return html.section("Models and training", table)


def _finding_section(name: str, ones: Sequence[Measured]) -> str:
    finding, (title, picture) = FINDINGS[name], _HEADINGS[name]
    words = (
        f"<p><b>The paper:</b> {html.escape(finding.says)} "
        f"({html.escape(STATUS[finding.status])}: {html.escape(finding.source)}.) "
        f"{html.escape(finding.caveat)}</p>"
    )
    if not ones:
        return html.section(title, words + "<p><b>Ours:</b> not run.</p>")
    rows = []
    for one in ones:
        run = html.with_small(one.run.label, "smaller" if match.is_smaller(one.run) else "its size")
        rows.append([run, one.about, one.figures, html.yes_or_no(one.agrees)])
    table = html.table("Ours", ["Run", "about", "measured", "as the paper"], rows, "facts")
    figures = "".join(
        html.picture(name, path, f"{title}: {run.label}", run.label)
        for run in {one.run.label: one.run for one in ones}.values()
        if picture and (path := run.workdir.report / picture).exists()
    )
    return html.section(title, words + table + figures)


def _moments_section(runs: Sequence[Run]) -> str:
    """The second-order prediction from the moments of the paper's sets; "" without such runs."""
    rows = []
    for run in runs:
        found = run.summary.diagnosis.get("second_order", {})
        for moments in found.get("from_moments", []):
            pair = f"{moments['own']} -> {moments['other']}"
            stds = ", ".join(f"{v:g}" for v in (*moments["std_own"], *moments["std_other"]))
            gap = f"{moments['variance_term']:+,.0f}"
            rows.append([pair, gap, run.label, stds, moments["source"]])
    if not rows:
        return ""
    header = ["Pair", "predicted, nats", "kernels of", "standard deviations", "moments"]
    caption = "The second-order prediction from moments of the paper's sets"
    return html.section("From the paper's moments", html.table(caption, header, rows, "facts"))
