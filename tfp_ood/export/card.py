"""The model card: what the exported model is, what it fails at and what its guard catches.

Every figure comes from the score tables and the record of the training.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfp_ood import detectors
from tfp_ood.config import Config
from tfp_ood.data import specs
from tfp_ood.export import card_guard
from tfp_ood.export.judged import Judged
from tfp_ood.export.markdown import bullets, table
from tfp_ood.families import FlowConfig, ModelConfig
from tfp_ood.reporting import names
from tfp_ood.reporting.outcome import changes, outcome
from tfp_ood.reporting.shares import percent
from tfp_ood.reporting.summary import SetSummary, Summary, auroc_words


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card tells of."""

    config: Config
    training: Mapping[str, Any]
    """What `fit.training_facts` gives."""
    full: Judged
    """The sets, judged by all columns of their score tables."""
    exported: Judged
    """The same sets, judged by the columns that the exported graph computes."""
    shipped: Sequence[str]
    """Columns that the exported model tells (`saved_model.shipped`)."""


def model_card(facts: Facts) -> str:
    """The card, Markdown.

    Raises:
      ExportError: there is no guard.
    """
    in_set = facts.full.summary.in_set
    family = names.family(facts.config.model.family)
    parts = [
        f"# Model card: {family} of {in_set.label}",
        f"`model` tells the likelihood of images under a {family} that was trained on "
        f"{in_set.label}, draws images, and has a guard that flags foreign images by several "
        "detectors together. All figures below are of this one trained model.",
        "## Model and data",
        table(["", ""], _model_rows(facts, in_set)),
        "## Likelihood as a detector of foreign images",
        *_likelihood(facts.exported.summary),
        "## All detectors",
        *_detectors(facts.full.summary),
        "## The guard",
        *card_guard.guard(facts.exported),
        "## What the exported guard goes without",
        *card_guard.left_out(facts.full, facts.exported),
        "## Limits",
        bullets(_limits(facts, in_set)),
        "## Signatures",
        bullets(_signatures(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _model_rows(facts: Facts, in_set: SetSummary) -> list[list[str]]:
    config, training, model = facts.config, facts.training, facts.full.summary.model
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
        [
            "seed, config, weights",
            f"{model['seed']}, {model['config_hash']}, {model['weights']}",
        ],
    ]


def _kind(model: Mapping[str, Any]) -> str:
    if model["kind"] == "exact":
        return "exact"
    number = model["num_draws"]
    return f"a lower bound from {number:,} draw{'s' * (number > 1)} of noise per image"


def _likelihood(summary: Summary) -> list[str]:
    if not summary.out_sets:
        return ["No foreign set was evaluated: what likelihood fails at here is not known."]
    rows = [
        [
            entry.label,
            f"{entry.num_images:,}",
            f"{entry.bits_per_dim_mean:.2f}",
            auroc_words(entry.likelihood),
            changes(entry),
        ]
        for entry in summary.out_sets
    ]
    header = ["foreign set", "images", "bits/dim", "AUROC (95 % interval)", "images were"]
    text = (
        "AUROC of low likelihood as a sign of foreign images: 1 tells them all, 0.5 is a coin, "
        "below 0.5 they are the likelier ones."
    )
    return [text, table(header, rows), bullets(outcome(summary))]


def _detectors(summary: Summary) -> list[str]:
    if not summary.out_sets:
        return ["No foreign set was evaluated: what they catch is not known."]
    titles = [detectors.DETECTORS[name].title for name in summary.detector_names]
    rows = [
        [entry.label, *(f"{scores['auroc']:.3f}" for scores in entry.scores.values())]
        for entry in summary.out_sets
    ]
    text = (
        "AUROC of each detector, with all that the run's score tables have. The exported guard has "
        "figures of its own below."
    )
    not_there = [
        f"{detectors.DETECTORS[name].title} was not asked: the score tables have no "
        f"{', '.join(columns)}."
        for name, columns in summary.left_out.items()
        if columns
    ]
    return [text, table(["foreign set", *titles], rows), *filter(None, [bullets(not_there)])]


def _limits(facts: Facts, in_set: SetSummary) -> list[str]:
    calibration = facts.exported.panel.guard.combined.calibration
    rate, count = calibration.false_alarm_rate, calibration.num_images
    spread = math.sqrt(rate * (1 - rate) / count)
    measured = facts.exported.summary.in_set.flagged
    return [
        "The guard tells what is unusual to its detectors, nothing else. That an image passes is "
        "no proof that it is of the kind that the model knows: foreign images that are usual to "
        "all of them pass.",
        "The share of false alarms holds for images of the same source as the held-out ones. It "
        f"is an average over draws of {count:,} of them: this guard's own may be off by some "
        f"{percent(spread, 1)} (one standard deviation). Measured on the test images: "
        f"{percent(measured, 1)}.",
        f"Images must be prepared as those of the training were (here: {changes(in_set)}). Other "
        "cropping, resizing or compression changes likelihoods and lengths, and with them the "
        "verdict.",
        "`reasons` are the detectors whose own score is rare at the same rate. They describe the "
        "scores, not the image: no reason is a cause.",
        _rounding(facts.config.model),
        *_noise(facts.full.summary.model),
        "Foreign sets that are not in the tables above were not tried. One seed of training; the "
        "intervals are over images only.",
    ]


def _rounding(model: ModelConfig) -> str:
    """What GPUs do to an exported model's likelihoods by default."""
    signal = ""
    if isinstance(model, FlowConfig):
        signal = "The signal of the flow itself is in float64 and is not; its networks are. "
    return (
        "On GPUs since Ampere TensorFlow rounds what is multiplied to 10 bits (TensorFloat-32), "
        "unless the program calls tf.config.experimental.enable_tensor_float_32_execution(False), "
        f"as client.py does. {signal}So rounded, on a CPU, log p of trained models moved by 0.07 "
        "to 0.31 nats (standard deviation over images), and verdicts near the limit may change "
        "with it."
    )


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
    alone = ", ".join(f"p_value.{name}" for name in facts.exported.panel.guard.reasons)
    return [
        "`log_prob`: images uint8 [N, H, W, C] -> log_prob (nats per image), bits_per_dim"
        f"{further}: float32 [N]",
        "`guard`: images uint8 [N, H, W, C] -> the same, and score (of all detectors together, "
        "higher is more foreign), p_value (of the score), percentile (of the likelihood; 0: "
        "unlikelier than all held-out images, 100: likelier than all), code_bits (length under a "
        f"lossless code), {alone} (of each detector alone): float32 [N]; is_out_of_distribution: "
        "bool [N]; reasons: string [N]",
        "`sample`: num_images int32 [], seed int32 [], temperature float32 [] -> images uint8 "
        "[num_images, H, W, C]; the same for the same seed",
        "`python client.py IMAGES.npy` asks the guard; it needs tensorflow and numpy alone.",
    ]
