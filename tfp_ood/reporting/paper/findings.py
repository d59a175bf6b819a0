"""The paper's findings, each looked for in our runs."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from tfp_ood.reporting import names
from tfp_ood.reporting.ensembles import judge_ensembles
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.paper.match import data_set, kind, pair_name
from tfp_ood.reporting.runs import Run
from tfp_ood.reporting.summary import auroc_words

_REVERSE = {("svhn_cropped", "cifar10"), ("mnist", "fashion_mnist")}
_FORWARD = {
    ("fashion_mnist", "mnist"),
    ("cifar10", "svhn_cropped"),
    ("celeb_a", "svhn_cropped"),
    *(("downsampled_imagenet_32x32", name) for name in ("cifar10", "cifar100", "svhn_cropped")),
}
PAIRS = _FORWARD | _REVERSE
"""The pairs of sets that the paper tells of, the own one first."""

_RISES = 0.9  # Spearman


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run says on a finding."""

    run: Run
    """The run, or the first of several."""
    about: str
    """Sets, and what of them."""
    figures: str
    agrees: bool


_Found = Iterator[tuple[str, str, bool]]
"""What makes a `Measured` of a run: about, figures, agrees."""


def measured(runs: Sequence[Run]) -> dict[str, list[Measured]]:
    """Name of a finding (`facts.FINDINGS`) -> what the runs say on it; empty if nothing."""
    found = {
        name: [Measured(run, *one) for run in runs for one in look(run)]
        for name, look in _OF_SINGLE_RUNS.items()
    }
    found["ensemble"] = list(_ensembles(runs))
    return found


def pairs_of(run: Run, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, JudgedSet]]:
    """What a wanted pair of sets, in the paper's names, is called, and what was judged of it."""
    in_name = data_set(run.in_set.table.dataset)
    for one in run.out_sets:
        if (pair := (in_name, data_set(one.table.dataset))) in wanted:
            yield pair_name(*pair), one


def _detection(
    run: Run, wanted: set[tuple[str, str]], fails: bool, constant_volume: bool | None = None
) -> _Found:
    """Whether likelihood fails; of runs with or without constant volume, or (None) of both."""
    if constant_volume not in (None, _has_constant_volume(run)):
        return
    in_bits = run.in_set.about.bits_per_dim_mean
    for pair, one in pairs_of(run, wanted):
        metrics = one.about.likelihood
        low, high = metrics["auroc_interval"]
        text = (
            f"{in_bits:.2f} and {one.about.bits_per_dim_mean:.2f} bits/dim, AUROC "
            f"{auroc_words(metrics)}"
        )
        yield pair, text, high < 0.5 if fails else low > 0.5


def _has_constant_volume(run: Run) -> bool:
    return kind(run) == "glow_constant_volume"


def _volume(run: Run) -> _Found:
    terms = run.summary.diagnosis.get("terms")
    if terms is None or _has_constant_volume(run):
        return
    in_terms = terms[run.in_set.key]
    for pair, one in pairs_of(run, _FORWARD):
        latent, volume = (
            terms[one.key][name] - in_terms[name] for name in ("latent_mean", "volume_mean")
        )
        gap = one.about.log_prob_mean - run.in_set.about.log_prob_mean
        text = (
            f"{gap:+,.0f} nats, {volume:+,.0f} of them by the volume, "
            f"{latent:+,.0f} by the latent density"
        )
        yield pair, text, volume > max(latent, 0.0)


def _second_order(run: Run) -> _Found:
    found = run.summary.diagnosis.get("second_order")
    if found is None:
        return
    for pair, one in pairs_of(run, _FORWARD):
        terms = found["sets"][one.key]
        text = f"predicted {terms['variance_term']:+,.0f} nats, measured {terms['measured']:+,.0f}"
        yield pair, text, terms["same_sign"]


def _contrast(run: Run) -> _Found:
    words = {"contrast": "moved towards the mean of each image", "dimmed": "moved towards black"}
    in_name = names.data_set(data_set(run.in_set.table.dataset))
    for how, sweep in run.summary.diagnosis.get("contrast", {}).items():
        rises = sweep["spearman_of_means"]
        text = f"rank correlation of falling contrast and mean likelihood {rises:+.2f}"
        yield f"{in_name}, {words[how]}", text, rises >= _RISES


def _constant(run: Run) -> _Found:
    gray = run.summary.diagnosis.get("gray_levels")
    if gray is not None:
        share = gray["share_above_own"]
        text = f"{share:.0%} of the gray levels are likelier than the median own image"
        yield "constant images", text, share > 0.5
    for one in run.out_sets:
        if one.table.dataset == "noise":
            share = np.mean(one.table.log_prob < np.min(run.in_set.table.log_prob))
            text = f"{share:.0%} of it is unlikelier than every own image"
            yield "noise", text, bool(share > 0.5)


def _ensembles(runs: Sequence[Run]) -> Iterator[Measured]:
    by_label = {run.label: run for run in runs}
    for found in judge_ensembles(runs):
        first = by_label[found["members"][0]]
        for pair, one in pairs_of(first, _FORWARD):
            if (by_score := found["sets"].get(one.key)) is None:
                continue
            alone = [by_score[label]["auroc"] for label in found["members"]]
            waic = by_score["waic"]
            text = f"AUROC by WAIC {waic['auroc']:.3f}, alone {min(alone):.3f} to {max(alone):.3f}"
            about = f"{pair}, {len(alone)} models"
            yield Measured(first, about, text, waic["auroc_interval"][1] < 0.5)


_OF_SINGLE_RUNS: dict[str, Callable[[Run], _Found]] = {
    "foreign_likelier": partial(_detection, wanted=_FORWARD, fails=True, constant_volume=False),
    "reverse": partial(_detection, wanted=_REVERSE, fails=False),
    "volume": _volume,
    "constant_volume": partial(_detection, wanted=_FORWARD, fails=True, constant_volume=True),
    "second_order": _second_order,
    "contrast": _contrast,
    "constant": _constant,
}
