"""The page of a monitor: have new images drifted, and which of them are foreign?"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic, detectors
from tfp_ood.config import MonitorConfig
from tfp_ood.data import folders
from tfp_ood.detectors import drift
from tfp_ood.detectors.guard import Judgement
from tfp_ood.reporting import html, names, reasons
from tfp_ood.reporting.by_detector import unusual_table
from tfp_ood.reporting.html import ReportResult
from tfp_ood.reporting.judged import read_held_out, read_tables
from tfp_ood.reporting.monitor import plots, words
from tfp_ood.reporting.monitor.words import Found
from tfp_ood.reporting.shares import percent, rate
from tfp_ood.reporting.summary import check_tables
from tfp_ood.workdir import WorkDir, open_workdir, slug

_NUM_SHOWN = 16
_NUM_TOLD = 200
"""Of the named images so many are listed on the page; monitor.json lists more."""

Look = Callable[[Sequence[int]], tuple[Sequence[str], np.ndarray]]
"""Function of indices of N new images: their names, and they themselves, uint8 [N, H, W, C]."""


def write_monitor(
    workdir: str | os.PathLike[str],
    sets: Sequence[tuple[str, str]],
    false_alarm_rate: float,
    config: MonitorConfig,
    look: Look,
) -> ReportResult:
    """Writes WORKDIR/monitor/NAME/: index.html, monitor.json, and figures as PNG and PDF.

    Args:
      workdir: of a run.
      sets: (name, split) of the score tables: of the own test images, and of the new ones.
      false_alarm_rate: of the guard.
      config: says at which level drift is told, and images are named.
      look: shows new images.

    Raises:
      EvaluationError: a table is missing, damaged or of another model.
      ExportError: too few validation images for the false-alarm rate, or no guard.
    """
    places = open_workdir(workdir)
    found = judge(places, sets, false_alarm_rate, config)
    folder = places.monitor / slug(sets[1][0])
    shown = np.argsort(-found.new.score, kind="stable")[:_NUM_SHOWN].tolist()
    looked_up = list(dict.fromkeys([*shown, *words.listed(found)]))
    called, images = look(looked_up)
    told = words.of_images(found, dict(zip(looked_up, called, strict=True)))
    pictures = plots.suspicious(found, shown, called[: len(shown)], images[: len(shown)])
    sections = [
        html.section("Figures", _figures(found)),
        html.section(
            "Distributions",
            html.drawn("histograms", plots.histograms(found), folder / "histograms",
                       _alt(found), _DISTRIBUTIONS),
        ),
        html.section(
            "The most suspicious images",
            html.drawn("suspicious", pictures, folder / "suspicious",
                       f"The {len(shown)} most suspicious images of {found.new_label}", _SUSPICIOUS)
            + _list(told, len(found.drift.named)),
        ),
        html.section("What is unusual", _reasons(found)),
        html.section("How to read this", _HOW_TO_READ),
    ]  # fmt: skip
    sentences = words.sentences(found)
    page = html.write(
        folder, f"Has {found.new_label} drifted from {found.own_label}?", sentences, sections
    )
    atomic.write_json(folder / "monitor.json", {**words.facts(found), "named": told})
    return page


def judge(
    places: WorkDir, sets: Sequence[tuple[str, str]], false_alarm_rate: float, config: MonitorConfig
) -> Found:
    """What the guard and the tests say of new images; arguments and errors as `write_monitor`."""
    own, new = read_tables(places, sets)
    held_out = read_held_out(places, own)
    check_tables([own, new], held_out)
    guard = detectors.panel(held_out, [own, new], false_alarm_rate).guard
    of_own, of_new = guard.judge([own]), guard.judge([new])
    own_label, new_label = names.labels([(own.dataset, own.split), (new.dataset, new.split)])
    flagged = [int(np.sum(one.flagged)) for one in (of_new, of_own)]
    compared = drift.compare(
        of_new.score, of_own.score, flagged, config.level, config.false_discovery_rate
    )
    calibration = guard.combined.calibration
    weights = own.metadata["weights"]
    record = new.metadata["preprocessing"]
    there = record.get("chosen_at_random_of", new.num_images)
    of_files = folders.cautions(new_label, record)
    return Found(
        new_label,
        own_label,
        of_new,
        of_own,
        calibration,
        compared,
        config,
        weights,
        there,
        of_files,
    )


_DISTRIBUTIONS = (
    "Above: p-values of the new images; of own images each is as frequent as any other (dashed). "
    "Many small ones are foreign images, many large ones images that are all too usual. "
    "Below: the scores that both tests compare, with a triangle at their means, and the guard's "
    "threshold (dashed)."
)
_SUSPICIOUS = (
    "By score, with name, p-value among the own test images and what single detectors find "
    "unusual. Orange frame: named as foreign."
)
_HOW_TO_READ = """<ul>
<li><b>Drift</b> is a statement about all images together. Two tests compare them with the own test
images, each at half of the level: are more of them flagged, and are the scores of all detectors
combined of another distribution? Both assume that the images were taken independently of each
other: many frames of one film, or copies, look like drift.</li>
<li><b>The p-value of an image</b> is the share of the own test images that are at least as unusual,
the image itself counted among them. Of own images one in twenty has a p-value below 0.05: a small
one alone is no proof.</li>
<li><b>Named</b> are images whose p-values are small even for so many (Benjamini and Hochberg).
Others may be foreign too.</li>
<li>A large set shows differences that matter to nobody: <b>AUROC</b> says how large they are. It is
the chance that a new image is more unusual than an own one; 0.5 is none.</li>
<li>No drift means that nothing was found by what these detectors measure.</li>
</ul>"""


def _alt(found: Found) -> str:
    return f"p-values of {found.new_label}; scores of {found.own_label} and of {found.new_label}"


def _figures(found: Found) -> str:
    own, new, low_high = found.own, found.new, found.expected
    low, high = (end / found.num_new for end in low_high)
    rows = [
        ["images", f"{found.num_new:,}", f"{found.num_own:,}"],
        [
            "flagged by the guard",
            html.share(float(np.mean(new.flagged)), new.share_flagged_interval),
            html.share(float(np.mean(own.flagged)), own.share_flagged_interval),
        ],
        ["flagged by likelihood", *map(_by_likelihood, (new, own))],
        ["named as foreign", f"{len(found.drift.named):,}", html.DASH],
    ]  # fmt: skip
    header = ["", found.new_label, f"{found.own_label}, test"]
    caption = (
        f"Shares with 95 % intervals, at {rate(found.calibration.false_alarm_rate)} of false "
        f"alarms; of as many own images {percent(low, 1)} to {percent(high, 1)} are flagged, by "
        f"the luck of the {found.calibration.num_images:,} images that set the threshold"
    )
    shares = html.table(caption, header, rows, "metrics")
    names_of = {drift.FLAGS: "more are flagged", drift.SCORES: "another distribution of scores"}
    tests = [
        [names_of[name], words.p_value(p), html.bold("yes") if name in found.drift.found else "no"]
        for name, p in found.drift.p_values.items()
    ]
    caption = (
        f"Tests of drift, together at a level of {rate(found.config.level)}; AUROC of the new "
        f"images against the own ones {found.auroc:.3f}"
    )
    return shares + html.table(caption, ["Test", "p-value", "drift"], tests, "metrics")


def _by_likelihood(judgement: Judgement) -> str:
    """The share that a threshold on low likelihood flags."""
    return percent(float(np.mean(judgement.beyond_likelihood)), 1)


def _list(told: Sequence[dict[str, Any]], number: int) -> str:
    """The images that are named, folded; "" for none."""
    if not told:
        return ""
    rows = [[one["name"], reasons.with_p_value(one)] for one in told[:_NUM_TOLD]]
    first = f", of which the first {len(rows):,} are listed" if len(rows) < number else ""
    of_first = f" of the first {len(told):,}" if len(told) < number else ""
    table = html.table(
        f"{number:,} images{first}; monitor.json has the scores{of_first}", [], rows, "facts"
    )
    return html.folded("The images that are named as foreign", table)


def _reasons(found: Found) -> str:
    """The share of both sets that each detector finds unusual by itself."""
    caption = (
        "Shares of images that are unusual by a detector alone, each at "
        f"{rate(found.calibration.false_alarm_rate)} of false alarms; small: in which way"
    )
    own_label = f"{found.own_label}, test"
    fired = {found.new_label: reasons.shares(found.new), own_label: reasons.shares(found.own)}
    return unusual_table(fired, caption)
