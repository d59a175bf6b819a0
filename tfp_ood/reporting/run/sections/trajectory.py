"""Likelihood against training progress: is the gap there early, and does it go away?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfp_ood import detectors
from tfp_ood.detectors import ColumnDetector
from tfp_ood.metrics.bootstrap import intervals
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.trajectory import Scored

_NUM_RESAMPLES = 200  # at every checkpoint: half the digits of the table's intervals
_REACH = 1.0  # how far from the own images' range others may stretch the axis, in its widths

_Found = Mapping[str, Any]


def section(evidence: Evidence) -> Section | None:
    """Curves over training steps; None where nothing was scored on the way."""
    in_key, *out_keys = (one.key for one in evidence.shown)
    found = trajectory(evidence.trajectory, in_key, out_keys)
    if found is None:
        return None
    labels = {one.key: one.label for one in evidence.sets}
    drawing = draw(found, labels)
    sentences = " ".join(sentences_of(found, labels))
    counts = sorted({entry["num_images"] for entry in found["sets"].values()})
    start = "; the first is before any training" if found["steps"][0] == 0 else ""
    caption = (
        "Above, bits/dim of the watched images (likelier is up): means and 90 % of the images. "
        "Below, AUROC of likelihood with its 95 % interval; under the line at 0.5 foreign images "
        f"are likelier. {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} images of "
        f"each set, one draw, scored at every checkpoint{start}."
    )
    alt = f"Curves over training steps. {sentences}"
    figure = evidence.draw("trajectory", drawing, alt, caption)
    body = f"<p>{html.escape(sentences)}</p>" + figure
    return Section(html.section("Over training", body), found)


def trajectory(
    steps: Mapping[int, Mapping[str, Scored]], in_key: str, out_keys: Sequence[str]
) -> dict[str, Any] | None:
    """Likelihoods of some images of every set at every checkpoint.

    Args:
      steps: of `trajectory.read`.
      in_key: of the in-distribution set.
      out_keys: of out-of-distribution sets; those that were not scored at all are left out.

    Returns:
      None where nothing was scored; or `steps`, int [T], those that have all sets and finite
      likelihoods only (all from where the last set was added, if a stopped training went on with
      it); and `sets`, key -> `num_images`; `mean`, `low`, `high`: mean, 5th and 95th
      percentile of bits/dim, [T] each;
      and of out-of-distribution sets, of likelihood as a detector, `auroc` [T], `auroc_interval`
      [T, 2] and `prefers_from`, the step from which on likelihood prefers these images at every
      checkpoint (AUROC below 0.5 with its whole interval), None if it does not at the last one; the
      same of other detectors that need the likelihood alone, under `scores` and their names.
    """
    scored = {key for sets in steps.values() for key in sets}
    keys = [key for key in (in_key, *out_keys) if key in scored]
    shown = [step for step in sorted(steps) if _is_whole(steps[step], keys)]
    if in_key not in keys or len(keys) < 2 or not shown:
        return None
    found = {key: _bits([steps[step][key].bits_per_dim for step in shown]) for key in keys}
    for key in keys[1:]:
        pairs = [(steps[step][in_key], steps[step][key]) for step in shown]
        by_detector = {name: _detection(one, pairs, shown) for name, one in _detectors().items()}
        found[key] |= by_detector.pop(detectors.LIKELIHOOD)
        found[key] |= {"scores": by_detector} if by_detector else {}
    return {"steps": shown, "sets": found}


def _detectors() -> dict[str, ColumnDetector]:
    """The detectors that can judge what is kept of a checkpoint."""
    return {
        name: detector
        for name, detector in detectors.DETECTORS.items()
        if isinstance(detector, ColumnDetector)
        and not detector.needs_held_out
        and set(detector.needs) <= {"log_prob"}
    }


def _is_whole(sets: Mapping[str, Scored], keys: Sequence[str]) -> bool:
    """Whether a checkpoint has all sets, with likelihoods that are numbers."""
    return all(key in sets and np.all(np.isfinite(sets[key].log_prob)) for key in keys)


def _bits(bits: Sequence[np.ndarray]) -> dict[str, Any]:
    return {
        "num_images": len(bits[-1]),
        "mean": [float(np.mean(values)) for values in bits],
        "low": [float(np.percentile(values, 5)) for values in bits],
        "high": [float(np.percentile(values, 95)) for values in bits],
    }


def _detection(
    detector: ColumnDetector, pairs: Sequence[tuple[Scored, Scored]], steps: Sequence[int]
) -> dict[str, Any]:
    scores = [
        [detector.of_columns({"log_prob": one.log_prob}, np) for one in pair] for pair in pairs
    ]
    ends = [intervals(*pair, num_resamples=_NUM_RESAMPLES)["auroc"] for pair in scores]
    prefers_from = None
    for step, (_, high) in zip(reversed(steps), reversed(ends), strict=True):
        if high >= 0.5:
            break
        prefers_from = step
    return {
        "auroc": [detection_metrics(*pair)["auroc"] for pair in scores],
        "auroc_interval": ends,
        "prefers_from": prefers_from,
    }


def sentences_of(found: _Found, labels: Mapping[str, str]) -> list[str]:
    """For each out-of-distribution set, whether and from when on likelihood prefers it."""
    in_key, *out_keys = found["sets"]
    last = found["steps"][-1]
    sentences = []
    for key in out_keys:
        entry = found["sets"][key]
        if entry["prefers_from"] is not None:
            when = f"from step {entry['prefers_from']:,} on, at every checkpoint"
        elif any(high < 0.5 for _, high in entry["auroc_interval"]):
            when = "at earlier checkpoints only"
        else:
            when = "at no checkpoint"
        sentences.append(
            f"{labels[key]} is preferred to {labels[in_key]} {when}; "
            f"AUROC {entry['auroc'][-1]:.2f} at step {last:,}."
        )
    return sentences


def draw(found: _Found, labels: Mapping[str, str]) -> Figure:
    """Draws bits/dim above and AUROC below, over training steps."""
    sets = found["sets"]
    height = 6 + 0.25 * len(sets)
    figure, (above, below) = figures.panels(7.5, height, 2, sharex=True, height_ratios=(3, 2))
    for number, (key, entry) in enumerate(sets.items()):
        look = {**figures.style(number), "linewidth": 2}
        curves = (entry[name] for name in ("mean", "low", "high"))
        figures.draw_band(above, found["steps"], *curves, **look, label=labels[key])
        if "auroc" in entry:
            ends = zip(*entry["auroc_interval"], strict=True)
            figures.draw_band(below, found["steps"], entry["auroc"], *ends, **look)
    above.set_ylim(*_limits(list(sets.values())))
    below.axhline(0.5, color="#555555", linewidth=1)
    below.set(ylim=(-0.02, 1.02), xlim=(0, max(found["steps"][-1], 1)))
    below.set(ylabel="AUROC of likelihood", xlabel="training step")
    below.xaxis.set_major_formatter("{x:,.0f}")
    figures.finish(figure)
    above.set_ylabel("-log p(x)  [bits/dim], likelier is up", fontsize=11)
    return figure


def _limits(sets: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Limits of bits/dim, likelier up: all of the own images, and of others what is not far."""
    low, high = min(sets[0]["low"]), max(sets[0]["high"])
    reach = _REACH * max(high - low, 1e-3)
    bottom = min(high + reach, max(max(entry["high"]) for entry in sets))
    top = max(low - reach, min(min(entry["low"]) for entry in sets))
    return bottom, top
