"""A summary in sentences, for the terminal and the page."""

from collections.abc import Mapping
from typing import Any

from tfp_ood.reporting.summary import SetSummary, Summary

_INDISTINCT = (0.45, 0.55)  # AUROC closer to a coin's 0.5 than anyone would build on
_CAUGHT = 0.95
_SAME_BITS = 0.005  # differences that round to 0.00 bits/dim
_UNCHANGED = "none"
_DONE = {"resize": "resized", "crop": "cropped and resized", "pad": "padded"}


def outcome(summary: Summary) -> list[str]:
    """A sentence for each out-of-distribution set, then a caution for each prepared otherwise."""
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
    sentences = [_judgement(in_set, out_set) for out_set in out_sets]
    return sentences + [_caution(in_set, out_set) for out_set in unequal]


def _judgement(in_set: SetSummary, out_set: SetSummary) -> str:
    metrics = out_set.likelihood
    gap = in_set.bits_per_dim_mean - out_set.bits_per_dim_mean
    if abs(gap) < _SAME_BITS:
        comparison = f"as much likelihood as {in_set.label} on average"
    else:
        words = "more" if gap > 0 else "less"
        comparison = f"{abs(gap):.2f} bits/dim {words} likelihood than {in_set.label}"
    # The words go by the number that is shown, so that "AUROC 0.95" is never "in part".
    auroc = round(metrics["auroc"], 2)
    return f"{out_set.label} gets {comparison}: AUROC {auroc:.2f}; {_outcome(auroc, metrics)}."


def _outcome(auroc: float, metrics: Mapping[str, float]) -> str:
    fpr95 = f"FPR95 {metrics['fpr95']:.2f}"
    if auroc < _INDISTINCT[0]:
        return "likelihood alone would let it through"
    if auroc <= _INDISTINCT[1]:
        return "likelihood alone cannot tell the two apart"
    if auroc < _CAUGHT:
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


def _caution(in_set: SetSummary, out_set: SetSummary) -> str:
    return (
        f"Caution: {out_set.label} was {changes(out_set)}; {in_set.label} was {changes(in_set)}. "
        "Unequal preprocessing is a confound: the score may tell the preprocessing apart, "
        "not the content."
    )
