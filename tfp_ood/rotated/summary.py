"""Prediction tables of the rotated digits -> what they say, in numbers and in sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting import names
from tfp_ood.rotated.predictions import Predictions

LABELS = {
    "softmax": "plain softmax",
    "dropout": "MC dropout",
    "ensemble": "deep ensemble",
    "flipout": "Flipout",
    "mnf": "multiplicative flows",
}
"""What variants are called."""

CONFIDENT = 0.9
"""A class with at least this probability is what a classifier is certain of."""

_PLAIN = "softmax"
_UNDRAWN = (_PLAIN, "ensemble")  # their weights are what they are
_TURN_INTO_EACH_OTHER = (6, 9)

UNITS = {
    "entropy": "nats, of the class probabilities averaged over draws; log(10) = 2.303 is no idea",
    "angle": "degrees counterclockwise",
    "confidently_wrong": f"a class other than the digit's has a probability of {CONFIDENT} or more",
    "auroc": "of the entropy as a detector; out-of-distribution is positive",
}

Tables = Mapping[str, Predictions]
"""Variant -> its table; "softmax" among them."""


def summarize(rotated: Tables, sets: Tables, digit_index: int) -> dict[str, Any]:
    """The figures of all variants.

    Args:
      rotated: predictions for turned digits.
      sets: predictions for whole sets, the in-distribution one first.
      digit_index: which image of each digit is drawn.

    Returns:
      JSON-able and finite: "variants", "digits" (the drawn ones: ranges of angles where the plain
      network is certain of a wrong class, and every variant's mean entropy there), "turned" (all
      turned digits, by angle) and "sets".

    Raises:
      EvaluationError: the tables are of different networks or different images.
    """
    for tables in (rotated, sets):
        _check_comparable(tables)
    labels, angles = (rotated[_PLAIN].keys[name] for name in ("label", "angle"))
    digits = list(dict.fromkeys(labels.tolist()))
    counted = [d for d in digits if d not in _TURN_INTO_EACH_OTHER] or digits
    return {
        "experiment": "rotated_digits",
        "units": UNITS,
        "variants": {v: _describe(table.metadata) for v, table in rotated.items()},
        "digits": {str(d): _describe_drawn(drawn(rotated, d, digit_index)) for d in digits},
        "turned": {
            "digits": counted,
            "num_images": int(np.sum(np.isin(labels, counted) & (angles == 0))),
            "angle": np.unique(angles).tolist(),
            "variants": {v: _turned(table, counted) for v, table in rotated.items()},
        },
        "sets": _describe_sets(sets),
    }


def drawn(tables: Tables, digit: int, digit_index: int) -> Tables:
    """Predictions for the one image of a digit that is drawn, in the order of angles."""
    keys = tables[_PLAIN].keys
    is_digit = keys["label"] == digit
    images = list(dict.fromkeys(keys["index"][is_digit].tolist()))
    rows = is_digit & (keys["index"] == images[digit_index])
    return {variant: table.where(rows) for variant, table in tables.items()}


def of_set(table: Predictions, key: str) -> Predictions:
    """Those of the images of a set, given as "dataset/split"."""
    dataset, _, split = key.rpartition("/")
    return table.where((table.keys["dataset"] == dataset) & (table.keys["split"] == split))


def wrong_probability(table: Predictions) -> np.ndarray:
    """The largest probability of a class that is not the label: [N]."""
    others = table.probabilities.copy()
    np.put_along_axis(others, table.keys["label"][:, np.newaxis], 0.0, axis=1)
    return others.max(axis=1)


def rotated_outcome(summary: Mapping[str, Any]) -> list[str]:
    """The outcome in sentences: one for each drawn digit, one for all turned ones, and for sets."""
    sentences = [_digit_sentence(digit, entry) for digit, entry in summary["digits"].items()]
    turned = summary["turned"]
    shares = _listed(turned["variants"], lambda e: f"{e['share_confidently_wrong_all']:.0%}")
    sentences.append(
        f"Of {turned['num_images']} test images ({_words(turned['digits'])}) at all angles, a "
        f"wrong class gets a probability of {CONFIDENT} or more in: {shares}."
    )
    for entry in list(summary["sets"].values())[1:]:
        areas = _listed(entry["variants"], lambda e: f"{e['auroc']:.2f}")
        sentences.append(f"AUROC of the entropy as a detector of {entry['label']}: {areas}.")
    return sentences


def _check_comparable(tables: Tables) -> None:
    first = tables[_PLAIN]
    for variant, table in tables.items():
        same_images = all(
            np.array_equal(values, table.keys.get(name)) for name, values in first.keys.items()
        )
        if first.metadata["config_hash"] != table.metadata["config_hash"] or not same_images:
            raise EvaluationError(
                f"The predictions of {variant} and {_PLAIN} are of different networks or images; "
                "--mode=evaluate makes those anew that do not belong to this config."
            )


def _describe(metadata: Mapping[str, Any]) -> dict[str, Any]:
    networks = metadata["networks"]
    return {
        "label": LABELS[metadata["variant"]],
        "weights": metadata["weights"],
        "num_networks": len(networks),
        "num_parameters": sum(network["num_parameters"] for network in networks),
        "num_epochs": networks[0]["num_epochs"],
        "train_seconds": round(sum(network["seconds"] for network in networks), 1),
        "num_draws": metadata["num_draws"] if metadata["variant"] not in _UNDRAWN else 1,
    }


def _describe_drawn(one: Tables) -> dict[str, Any]:
    """What the variants make of one image."""
    is_wrong = {v: wrong_probability(table) >= CONFIDENT for v, table in one.items()}
    return {
        "test_index": int(one[_PLAIN].keys["index"][0]),
        "confidently_wrong": [
            _describe_range({v: table.where(rows) for v, table in one.items()})
            for rows in ranges(is_wrong[_PLAIN])
        ],
        "confidently_wrong_angles": {v: int(wrong.sum()) for v, wrong in is_wrong.items()},
    }


def _describe_range(there: Tables) -> dict[str, Any]:
    """What happens in a range of angles of one image."""
    plain = there[_PLAIN]
    angles, classes = plain.keys["angle"], plain.probabilities.argmax(axis=1)
    return {
        "from_angle": float(angles[0]),
        "to_angle": float(angles[-1]),
        "classes": list(dict.fromkeys(classes.tolist())),
        "largest_probability": float(wrong_probability(plain).max()),
        "mean_entropy": {v: float(table.entropy.mean()) for v, table in there.items()},
    }


def ranges(flags: np.ndarray) -> list[slice]:
    """Where flags, bool [N], are true without a gap."""
    return np.ma.clump_masked(np.ma.array(flags, mask=flags))


def _turned(table: Predictions, digits: Sequence[int]) -> dict[str, Any]:
    """All turned images of some digits, by angle."""
    table = table.where(np.isin(table.keys["label"], digits))
    angles, group = np.unique(table.keys["angle"], return_inverse=True)
    wrong = wrong_probability(table) >= CONFIDENT

    def by_angle(values: np.ndarray) -> list[float]:
        return [float(values[group == number].mean()) for number in range(len(angles))]

    return {
        "share_confidently_wrong": by_angle(wrong),
        "mean_entropy": by_angle(table.entropy),
        "share_confidently_wrong_all": float(wrong.mean()),
        "mean_entropy_all": float(table.entropy.mean()),
    }


def _describe_sets(tables: Tables) -> dict[str, Any]:
    dataset, split = (tables[_PLAIN].keys[name].tolist() for name in ("dataset", "split"))
    found = list(dict.fromkeys(zip(dataset, split, strict=True)))
    keys = ["/".join(one) for one in found]
    sets = [{v: of_set(table, key) for v, table in tables.items()} for key in keys]
    return {
        key: {
            "label": label,
            "num_images": len(parts[_PLAIN].probabilities),
            "variants": {v: _describe_set(part, sets[0][v]) for v, part in parts.items()},
        }
        for key, label, parts in zip(keys, names.labels(found), sets, strict=True)
    }


def _describe_set(part: Predictions, in_part: Predictions) -> dict[str, Any]:
    entry = {
        "mean_entropy": float(part.entropy.mean()),
        "share_confident": float((part.probabilities.max(axis=1) >= CONFIDENT).mean()),
    }
    if part is in_part:
        right = part.probabilities.argmax(axis=1) == part.keys["label"]
        return {**entry, "accuracy": float(right.mean())}
    return {**entry, **detection_metrics(in_part.entropy, part.entropy)}


def _digit_sentence(digit: str, entry: Mapping[str, Any]) -> str:
    ranges = entry["confidently_wrong"]
    if not ranges:
        return f"The {digit}: plain softmax gives no wrong class {CONFIDENT} or more."
    # The widest range; among equals the first.
    worst = max(ranges, key=lambda r: r["to_angle"] - r["from_angle"])
    others = {v: e for v, e in worst["mean_entropy"].items() if v != _PLAIN}
    there = ", ".join(f"{LABELS[v]} {value:.2f}" for v, value in others.items())
    degrees = f"{worst['from_angle']:.0f}"
    if worst["to_angle"] > worst["from_angle"]:
        degrees += f" to {worst['to_angle']:.0f}"
    return (
        f"The {digit}, turned by {degrees} degrees: plain softmax is certain of "
        f"{_words(worst['classes'])} (probability up to {worst['largest_probability']:.3f}, mean "
        f"entropy {worst['mean_entropy'][_PLAIN]:.2f} nats); mean entropy there: {there}."
    )


def _words(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _listed(entries: Mapping[str, Any], show: Callable[[Mapping[str, Any]], str]) -> str:
    return ", ".join(f"{LABELS[variant]} {show(entry)}" for variant, entry in entries.items())
