"""The model card: what the exported model is, what it fails at and what its guard catches.

Every figure comes from the score tables and the record of the training.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import detectors
from tfp_ood.config import Config
from tfp_ood.data import specs
from tfp_ood.detectors.conformal import Guard, Judgement
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import names
from tfp_ood.reporting.outcome import changes, is_changed, outcome
from tfp_ood.reporting.summary import SetSummary, Summary, auroc_words

_CAUGHT, _MISSED = 0.95, 0.5  # shares of a foreign set that the guard flags


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card tells of."""

    config: Config
    training: Mapping[str, Any]
    """What `fit.training_facts` gives."""
    summary: Summary
    """The numbers of the sets below."""
    tables: Sequence[ScoreTable]
    """In-distribution test images first, then the foreign sets."""
    guard: Guard
    shipped: Sequence[str]
    """Columns that the exported model tells (`saved_model.shipped`)."""


def model_card(facts: Facts) -> str:
    """The card, Markdown."""
    in_set, out_sets = facts.summary.in_set, facts.summary.out_sets
    family = names.family(facts.config.model.family)
    judged = [facts.guard.judge([table]) for table in facts.tables]
    parts = [
        f"# Model card: {family} of {in_set.label}",
        f"`model` tells the likelihood of images under a {family} that was trained on "
        f"{in_set.label}, draws images, and has a guard that flags images of unusual likelihood. "
        "All figures below are of this one trained model.",
        "## Model and data",
        _table(["", ""], _model_rows(facts, in_set)),
        "## Likelihood as a detector of foreign images",
        *_likelihood(facts.summary, out_sets),
        "## The guard",
        *_guard(facts, in_set, out_sets, judged),
        "## Limits",
        _list(_limits(facts, in_set, judged[0])),
        "## Signatures",
        _list(_signatures(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _model_rows(facts: Facts, in_set: SetSummary) -> list[list[str]]:
    config, training, model = facts.config, facts.training, facts.summary.model
    height, width, channels = config.data.image_shape
    resumed = training.get("resumed_at_step")
    since = f" since it was resumed at step {resumed:,}" if resumed else ""
    spec = specs.SPECS.get(config.data.in_distribution)
    # A path on this computer is nothing to ship: the label has its last part.
    source = f" ({spec.tfds_name} of TensorFlow Datasets; licence: {spec.licence})" if spec else ""
    return [
        ["trained on", f"the training split of {in_set.label}{source}"],
        ["images", f"uint8 [N, {height}, {width}, {channels}]; {changes(in_set)} before the model"],
        [
            "training",
            f"{training['num_steps']:,} steps of {config.train.batch_size:,} images, "
            f"{training['seconds']:,} s{since}",
        ],
        ["trained parameters", f"{model['num_parameters']:,}"],
        ["likelihood", f"of the discrete image, {_kind(model)}"],
        ["seed, config", f"{model['seed']}, {model['config_hash']}"],
    ]


def _kind(model: Mapping[str, Any]) -> str:
    if model["kind"] == "exact":
        return "exact"
    number = model["num_draws"]
    return f"a lower bound from {number:,} draw{'s' * (number > 1)} of noise per image"


def _likelihood(summary: Summary, out_sets: Sequence[SetSummary]) -> list[str]:
    if not out_sets:
        return ["No foreign set was evaluated: what likelihood fails at here is not known."]
    judges = summary.detector_names
    rows = [
        [
            entry.label,
            f"{entry.num_images:,}",
            f"{entry.bits_per_dim_mean:.2f}",
            *(auroc_words(entry.scores[name]) for name in judges),
            changes(entry),
        ]
        for entry in out_sets
    ]
    aurocs = (
        "AUROC (95 % interval)"
        if name == detectors.LIKELIHOOD
        else f"AUROC, {detectors.DETECTORS[name].title}"
        for name in judges
    )
    header = ["foreign set", "images", "bits/dim", *aurocs, "images were"]
    text = (
        "AUROC of low likelihood as a sign of foreign images: 1 tells them all, 0.5 is a coin, "
        "below 0.5 they are the likelier ones."
    )
    return [text, _table(header, rows), _list(outcome(summary))]


def _guard(
    facts: Facts,
    in_set: SetSummary,
    out_sets: Sequence[SetSummary],
    judged: Sequence[Judgement],
) -> list[str]:
    rate, count = facts.guard.calibration.false_alarm_rate, facts.guard.calibration.num_images
    changed = [is_changed(entry.preprocessing) for entry in out_sets]
    roles = ["own, test", *("own, changed" if is_in_set else "foreign" for is_in_set in changed)]
    rows = [
        [
            entry.label,
            role,
            f"{entry.num_images:,}",
            f"{_percent(share.flagged)} ({_between(share)})",
            _percent(share.too_high),
            _percent(share.too_low),
        ]
        for entry, role, share in zip([in_set, *out_sets], roles, judged, strict=True)
    ]
    header = ["set", "role", "images", "flagged (95 % interval)", "too unlikely", "too likely"]
    text = (
        f"It compares an image's likelihood with those of {count:,} images of {in_set.label} that "
        "were held out of the training for validation, and flags it where it is in one of the two "
        f"tails: p-value of at most {rate:g}, which is the share of false alarms to expect."
    )
    sentences = [
        _outcome(entry.label, share) for entry, share in zip(out_sets, judged[1:], strict=True)
    ]
    return [text, _table(header, rows), _list([_false_alarms(in_set, judged[0], rate), *sentences])]


def _false_alarms(in_set: SetSummary, share: Judgement, rate: float) -> str:
    low, high = share.share_flagged_interval
    fits = (
        "which agrees with" if low <= rate <= high else "more than" if low > rate else "less than"
    )
    return (
        f"False alarms: {_percent(share.flagged)} of the test images of {in_set.label} "
        f"({_between(share)}), {fits} the {_percent(rate)} asked for."
    )


def _outcome(label: str, share: Judgement) -> str:
    flagged = np.mean(share.flagged)
    if flagged >= _CAUGHT:
        outcome = f"Catches {label}"
    elif flagged >= _MISSED:
        outcome = f"Catches {label} in part"
    else:
        outcome = f"Does not catch {label}, most of whose images pass"
    sides = {"too likely": np.sum(share.too_low), "too unlikely": np.sum(share.too_high)}
    side = max(sides, key=sides.get)
    mostly = f", mostly as {side}" if flagged else ""
    return f"{outcome}: {_percent(share.flagged)} flagged{mostly}."


def _limits(facts: Facts, in_set: SetSummary, share: Judgement) -> list[str]:
    rate, count = facts.guard.calibration.false_alarm_rate, facts.guard.calibration.num_images
    spread = math.sqrt(rate * (1 - rate) / count)
    return [
        "The guard tells unusual likelihoods, nothing else. A usual likelihood is no proof that an "
        "image is of the kind that the model knows: foreign images with usual likelihoods pass.",
        "The share of false alarms holds for images of the same source as the held-out ones. It "
        f"is an average over draws of {count:,} of them: this guard's own may be off by some "
        f"{_percent(spread)} (one standard deviation). Measured on the test images: "
        f"{_percent(share.flagged)}.",
        f"Images must be prepared as those of the training were (here: {changes(in_set)}). Other "
        "cropping, resizing or compression changes likelihoods and with them the verdict.",
        *_noise(facts.summary.model),
        "Foreign sets that are not in the tables above were not tried. One seed of training; the "
        "intervals are over images only.",
    ]


def _noise(model: Mapping[str, Any]) -> list[str]:
    if model["kind"] == "exact":
        return []
    return [
        f"The likelihood is {_kind(model)}. The noise is a function of the image's content: the "
        "same image has the same likelihood always, and one changed pixel other noise, so that "
        "verdicts near the limit may change with it."
    ]


def _signatures(facts: Facts) -> list[str]:
    further = "".join(f", {name}" for name in facts.shipped if name != "log_prob")
    return [
        "`log_prob`: images uint8 [N, H, W, C] -> log_prob (nats per image), bits_per_dim"
        f"{further}: float32 [N]",
        "`guard`: images uint8 [N, H, W, C] -> bits_per_dim, percentile (0: unlikelier than all "
        "held-out images, 100: likelier than all), typicality_p_value: float32 [N]; "
        "is_out_of_distribution: bool [N]",
        "`sample`: num_images int32 [], seed int32 [], temperature float32 [] -> images uint8 "
        "[num_images, H, W, C]; the same for the same seed",
        "`python client.py IMAGES.npy` asks the guard; it needs tensorflow and numpy alone.",
    ]


def _percent(flagged: np.ndarray | float) -> str:
    """A share, or that of the images of a mask."""
    return f"{100 * np.mean(flagged):.1f} %"


def _between(share: Judgement) -> str:
    low, high = share.share_flagged_interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
