"""A summary in sentences, for the terminal and the page."""

from collections.abc import Iterable, Mapping
from typing import Any

from tfp_ood.data import folders
from tfp_ood.reporting.shares import percent, rate
from tfp_ood.reporting.summary import SetSummary, Summary

_INDISTINCT = (0.45, 0.55)  # AUROC closer to a coin's 0.5 than anyone would build on
CAUGHT, MISSED = 0.95, 0.5
"""Shares of a foreign set, and AUROCs: what is caught, and what mostly passes. They are compared
with the digits that a page shows, so that "AUROC 0.95" is never "in part"."""
_HANDFUL = 30
"""Images, of fewer of which bootstrap intervals are narrower than they should be."""
_SAME_BITS = 0.005  # differences that round to 0.00 bits/dim
_UNCHANGED = "none"
_DONE = {"resize": "resized", "crop": "cropped and resized", "pad": "padded"}


def outcome(summary: Summary) -> list[str]:
    """What likelihood does with each out-of-distribution set and what the guard, then cautions.

    A set has one entry, of a sentence on likelihood and, where there is a combined detector, one on
    the guard. Each set that was prepared in another way than the own one has a caution, and so have
    sets of a handful of images, and folders with files that may not be what they seem.
    """
    in_set = summary.in_set
    # A sweep over contrast has a figure of its own.
    out_sets = [one for one in summary.out_sets if "reduction" not in one.preprocessing]
    out_sets = out_sets or summary.out_sets
    # Of own images that were changed on purpose, the change is what the set is about.
    unequal = [
        one
        for one in out_sets
        if changes(in_set) != changes(one) and not is_changed(one.preprocessing)
    ]
    sentences = [
        " ".join(filter(None, (_judgement(in_set, one), guard_sentence(summary, one))))
        for one in out_sets
    ]
    sentences += [_caution(in_set, out_set) for out_set in unequal]
    cautions = [caution_of_few([in_set, *out_sets]), *file_cautions(summary.datasets.values())]
    return sentences + [sentence for sentence in cautions if sentence]


def file_cautions(sets: Iterable[SetSummary]) -> list[str]:
    """What to know of the files of the sets that are folders, in sentences."""
    return [
        sentence
        for one in sets
        if not is_changed(one.preprocessing)  # made of the own images: the same files
        for sentence in folders.cautions(one.label, one.preprocessing)
    ]


def guard_sentence(summary: Summary, out_set: SetSummary) -> str:
    """What the guard does with a set; "" where there is no combined detector."""
    metrics = out_set.combined
    if metrics is None:
        return ""
    auroc = f"{metrics['auroc']:.2f}"
    if out_set.flagged is None:
        return f"AUROC of all detectors combined {auroc}; too few images were held out for a guard."
    caught = round(out_set.flagged, 2)
    if caught >= CAUGHT:
        does = f"catches {percent(caught)} of {out_set.label}"
    elif caught >= MISSED:
        does = f"catches only {percent(caught)} of {out_set.label}"
    else:
        does = f"does not catch {out_set.label}: it flags {percent(caught)} and passes most of it,"
    return (
        f"The guard {does} at {rate(summary.false_alarm_rate)} of false alarms (own test images "
        f"flagged: {percent(summary.in_set.flagged, 1)}); AUROC of all detectors combined {auroc}."
    )


def _judgement(in_set: SetSummary, out_set: SetSummary) -> str:
    metrics = out_set.likelihood
    gap = in_set.bits_per_dim_mean - out_set.bits_per_dim_mean
    if abs(gap) < _SAME_BITS:
        comparison = f"as much likelihood as {in_set.label} on average"
    else:
        words = "more" if gap > 0 else "less"
        comparison = f"{abs(gap):.2f} bits/dim {words} likelihood than {in_set.label}"
    auroc = round(metrics["auroc"], 2)
    return f"{out_set.label} gets {comparison}: AUROC {auroc:.2f}; {_outcome(auroc, metrics)}."


def _outcome(auroc: float, metrics: Mapping[str, float]) -> str:
    fpr95 = f"FPR95 {metrics['fpr95']:.2f}"
    if auroc < _INDISTINCT[0]:
        return "likelihood alone would let it through"
    if auroc <= _INDISTINCT[1]:
        return "likelihood alone cannot tell the two apart"
    if auroc < CAUGHT:
        return f"likelihood alone would catch it only in part ({fpr95})"
    return f"likelihood alone would catch it ({fpr95})"


def is_changed(preprocessing: Mapping[str, Any]) -> bool:
    """Whether a set with this record is made of the own test images, changed on purpose."""
    return bool({"reduction", "corruption"} & set(preprocessing))


def changes(entry: SetSummary) -> str:
    """What was done to a set's images before the model saw them; "not changed" for nothing.

    Args:
      entry: of a set in the summary; its record has "size_change", such as "none" or
        "resize 512x341 -> 32x32", and "channel_change", such as "none" or "gray -> RGB"; own
        images that were changed on purpose have a "reduction" or a "corruption" too.
    """
    record = entry.preprocessing
    found = []
    if record["size_change"] != _UNCHANGED:
        how, sizes = record["size_change"].split(" ", 1)
        sizes = sizes.replace("varying", "various sizes")
        found.append(f"{_DONE[how]} {_from_to(sizes)}")
    if record["channel_change"] != _UNCHANGED:
        found.append(f"converted {_from_to(record['channel_change'])}")
    if reduction := record.get("reduction"):
        found.append(
            f"reduced ({reduction['kind']}) to {reduction['factor']:.0%} of their contrast"
        )
    if corruption := record.get("corruption"):
        strength = f" {corruption['strength']:g}" if corruption["strength"] else ""
        found.append(f"changed ({corruption['kind'].replace('_', ' ')}{strength})")
    return " and ".join(found) or "not changed"


def _from_to(arrow: str) -> str:
    return "from " + arrow.replace(" -> ", " to ")


def caution_of_few(sets: Iterable[SetSummary]) -> str:
    """What to know of sets of a handful of images, in a sentence; "" where there are none."""
    few = [
        f"{one.label} ({one.num_images})"
        for one in sets
        if one.num_images < _HANDFUL and not is_changed(one.preprocessing)  # the own ones again
    ]
    if not few:
        return ""
    return (
        f"Caution: there are few images of {', '.join(few)}. Intervals, which tell how much a "
        f"figure owes to which images were scored, are too narrow with fewer than {_HANDFUL}."
    )


def _caution(in_set: SetSummary, out_set: SetSummary) -> str:
    return (
        f"Caution: {out_set.label} was {changes(out_set)}; {in_set.label} was {changes(in_set)}. "
        "Unequal preprocessing is a confound: the score may tell the preprocessing apart, "
        "not the content."
    )
