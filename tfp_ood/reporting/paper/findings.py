"""The paper's findings, each looked for in our runs."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfp_ood.reporting.ensembles import judge_ensembles
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.paper.match import data_set, kind, set_name
from tfp_ood.reporting.runs import Run

_REVERSE = {("svhn_cropped", "cifar10"), ("mnist", "fashion_mnist")}
_FORWARD = {
    ("fashion_mnist", "mnist"),
    ("cifar10", "svhn_cropped"),
    ("celeb_a", "svhn_cropped"),
    *(("downsampled_imagenet_32x32", name) for name in ("cifar10", "cifar100", "svhn_cropped")),
}
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


def measured(runs: Sequence[Run]) -> dict[str, list[Measured]]:
    """Name of a finding (`paper_facts.FINDINGS`) -> what the runs say on it; empty if nothing."""
    found = {
        name: [one for run in runs for one in look(run)] for name, look in _OF_SINGLE_RUNS.items()
    }
    found["ensemble"] = list(_ensembles(runs))
    return found


def _pairs(run: Run) -> Iterator[tuple[str, str, JudgedSet]]:
    """(in-distribution set, another set, in the paper's names, and what was judged of it)."""
    in_name = data_set(run.in_set.table.dataset)
    for one in run.out_sets:
        yield in_name, data_set(one.table.dataset), one


def _detection(run: Run, wanted: set[tuple[str, str]], fails: bool) -> Iterator[Measured]:
    for in_name, out_name, one in _pairs(run):
        if (in_name, out_name) not in wanted:
            continue
        metrics = one.about.likelihood
        low, high = metrics["auroc_interval"]
        in_bits = run.in_set.about.bits_per_dim_mean
        yield Measured(
            run,
            _named(in_name, out_name),
            f"{in_bits:.2f} and {one.about.bits_per_dim_mean:.2f} bits/dim, AUROC "
            f"{metrics['auroc']:.3f} ({low:.3f} to {high:.3f})",
            high < 0.5 if fails else low > 0.5,
        )


def _likelier(run: Run) -> Iterator[Measured]:
    if kind(run) != "glow_constant_volume":  # which has a finding of its own
        yield from _detection(run, _FORWARD, fails=True)


def _reverse(run: Run) -> Iterator[Measured]:
    yield from _detection(run, _REVERSE, fails=False)


def _constant_volume(run: Run) -> Iterator[Measured]:
    if kind(run) == "glow_constant_volume":
        yield from _detection(run, _FORWARD, fails=True)


def _volume(run: Run) -> Iterator[Measured]:
    terms = run.summary.diagnosis.get("terms")
    if terms is None or kind(run) == "glow_constant_volume":
        return
    in_terms = terms[run.in_set.key]
    for in_name, out_name, one in _pairs(run):
        if (in_name, out_name) in _FORWARD:
            latent, volume = (
                terms[one.key][f"{part}_mean"] - in_terms[f"{part}_mean"]
                for part in ("latent", "volume")
            )
            gap = one.about.log_prob_mean - run.in_set.about.log_prob_mean
            yield Measured(
                run,
                _named(in_name, out_name),
                f"{gap:+,.0f} nats, {volume:+,.0f} of them by the volume, "
                f"{latent:+,.0f} by the latent density",
                volume > max(latent, 0.0),
            )


def _second_order(run: Run) -> Iterator[Measured]:
    found = run.summary.diagnosis.get("second_order")
    if found is None:
        return
    for in_name, out_name, one in _pairs(run):
        if (in_name, out_name) in _FORWARD:
            terms = found["sets"][one.key]
            yield Measured(
                run,
                _named(in_name, out_name),
                f"predicted {terms['variance_term']:+,.0f} nats, measured "
                f"{terms['measured']:+,.0f}",
                terms["same_sign"],
            )


def _contrast(run: Run) -> Iterator[Measured]:
    words = {"contrast": "moved towards the mean of each image", "dimmed": "moved towards black"}
    for how, sweep in run.summary.diagnosis.get("contrast", {}).items():
        yield Measured(
            run,
            f"{set_name(data_set(run.in_set.table.dataset))}, {words[how]}",
            f"rank correlation of falling contrast and mean likelihood "
            f"{sweep['spearman_of_means']:+.2f}",
            sweep["spearman_of_means"] >= _RISES,
        )


def _constant(run: Run) -> Iterator[Measured]:
    gray = run.summary.diagnosis.get("gray_levels")
    if gray is not None:
        share = gray["share_above_own"]
        text = f"{share:.0%} of the gray levels are likelier than the median own image"
        yield Measured(run, "constant images", text, share > 0.5)
    for one in run.out_sets:
        if one.table.dataset == "noise":
            low = float(np.min(run.in_set.table.log_prob))
            share = float(np.mean(one.table.log_prob < low))
            text = f"{share:.0%} of it is unlikelier than every own image"
            yield Measured(run, "noise", text, share > 0.5)


def _ensembles(runs: Sequence[Run]) -> Iterator[Measured]:
    by_label = {run.label: run for run in runs}
    for found in judge_ensembles(runs):
        first = by_label[found["members"][0]]
        in_name = data_set(first.in_set.table.dataset)
        for key, by_score in found["sets"].items():
            out_name = data_set(key.rsplit("/", 1)[0])
            if (in_name, out_name) in _FORWARD:
                alone = [by_score[label]["auroc"] for label in found["members"]]
                waic = by_score["waic"]
                yield Measured(
                    first,
                    f"{_named(in_name, out_name)}, {len(alone)} models",
                    f"AUROC by WAIC {waic['auroc']:.3f}, alone {min(alone):.3f} to "
                    f"{max(alone):.3f}",
                    waic["auroc_interval"][1] < 0.5,
                )


def _named(in_name: str, out_name: str) -> str:
    return f"{set_name(in_name)} -> {set_name(out_name)}"


_OF_SINGLE_RUNS: dict[str, Callable[[Run], Iterator[Measured]]] = {
    "foreign_likelier": _likelier,
    "reverse": _reverse,
    "volume": _volume,
    "constant_volume": _constant_volume,
    "second_order": _second_order,
    "contrast": _contrast,
    "constant": _constant,
}
