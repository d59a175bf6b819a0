"""The model card: its figures are those of the score tables."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.config import Config, DataConfig, ExportConfig, PixelCNNConfig
from tfp_ood.detectors import drift
from tfp_ood.errors import ExportError
from tfp_ood.export import card
from tfp_ood.export.judged import judged, judged_without
from tfp_ood.reporting.outcome import outcome

TRAINING = {"num_steps": 12_345, "seconds": 678.9, "resumed_at_step": 0}
RNG = np.random.default_rng(0)
OWN = RNG.normal(4.0, 0.3, 400)
HELD_OUT = RNG.normal(4.0, 0.3, 398)
FOREIGN = {
    "mnist": RNG.normal(2.0, 0.2, 300),  # too likely, all of them
    "noise": RNG.normal(8.0, 0.1, 300),  # too unlikely
    "kmnist": RNG.normal(4.0, 0.2, 300),  # as likely as its own
}
FEW = {"mnist": FOREIGN["mnist"][:50]}


TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")


def complete(bits, *named, **how):
    """A table with lengths and volumes, which say nothing, and tests of latents, which say much."""
    made, rng = table(bits, *named, **how), np.random.default_rng(len(bits))
    lengths = {"code_bits": rng.normal(3200, 240, len(bits))}
    terms = {"log_prob_latent": made.log_prob, "log_det": rng.normal(size=len(bits))}
    tests = {
        f"{test}.level_1": 4 * made.bits_per_dim + rng.normal(size=len(bits)) for test in TESTS
    }
    return dataclasses.replace(made, statistics={**made.statistics, **lengths, **terms, **tests})


def facts(foreign=FEW, rate=0.1, how=None, **model):
    tables = [complete(OWN, "fashion_mnist", **model)]
    tables += [complete(bits, name, preprocessing=how, **model) for name, bits in foreign.items()]
    held_out = complete(HELD_OUT, "fashion_mnist", "validation", **model)
    return card.Facts(
        Config(data=DataConfig(out_of_distribution=tuple(foreign)), export=ExportConfig(rate)),
        TRAINING,
        judged(tables, held_out, rate),
        judged_without(["code_bits"], tables, held_out, rate),
        ["log_prob", "log_prob_latent", "log_det"],
    )


@pytest.fixture(scope="module", name="made")
def _made():
    given = facts(FOREIGN)
    return given, card.model_card(given)


def row(text, *cells):
    """The cells of the one table row that begins with these."""
    start = f"| {' | '.join(cells)} |"
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_names_the_model_and_its_training(made):
    given, text = made
    assert text.startswith("# Model card: Glow of FashionMNIST\n")
    for words in (
        "12,345 steps of 64 images, 678.9 s",
        "the training split of FashionMNIST (fashion_mnist:3.0.1 of ",
        "TensorFlow Datasets; licence: MIT)",
        "| trained parameters | 1,234 |",
        "a lower bound from 2 draws of noise per image",
        "uint8 [N, 28, 28, 1]; not changed before the model",
    ):
        assert words in text, words
    resumed = dataclasses.replace(given, training={**TRAINING, "resumed_at_step": 5000})
    assert "since it was resumed at step 5,000" in card.model_card(resumed)


def test_has_the_failure_of_likelihood(made):
    given, text = made
    datasets = given.full.summary.datasets
    for name in FOREIGN:
        entry = datasets[f"{name}/test"]
        low, high = entry.likelihood["auroc_interval"]
        cells = row(text, entry.label, "300", f"{entry.bits_per_dim_mean:.2f}")
        assert cells[3] == f"{entry.likelihood['auroc']:.3f} ({low:.3f} to {high:.3f})"
    for sentence in outcome(given.exported.summary):
        assert f"- {sentence}" in text


def test_has_all_detectors_figures(made):
    given, text = made
    titles = [one.title for one in given.full.panel.detectors.values()]
    assert row(text, "foreign set", *titles) and len(titles) > 4
    for name in FOREIGN:
        entry = given.full.summary.datasets[f"{name}/test"]
        aurocs = [f"{scores['auroc']:.3f}" for scores in entry.scores.values()]
        assert row(text, entry.label, *aurocs)
    assert "Norms of the reconstruction was not asked: the score tables have no norm_1.*" in text


def test_has_the_exported_guards_rates_from_the_tables(made):
    given, text = made
    for judgement, entry in zip(
        given.exported.judgements(), given.exported.summary.datasets.values(), strict=True
    ):
        role = "own, test" if entry.label == "FashionMNIST" else "foreign"
        cells = row(text, entry.label, role)
        assert cells[3].startswith(f"{100 * np.mean(judgement.flagged):.1f} % (")
        assert cells[4] == f"{100 * np.mean(judgement.beyond_likelihood):.1f} %"
        sides = [fired[judgement.flagged] for fired in judgement.fired.values()]
        most = max(np.mean(fired == side) for fired in sides for side in (1, -1))
        assert cells[5].endswith(f"({100 * most:.0f} % of the flagged)")
    assert row(text, "MNIST", "foreign")[4] == "0.0 %"
    assert row(text, "MNIST", "foreign")[5] == (
        "unusual density of statistics (100 % of the flagged)"
    )


def test_says_what_the_guard_catches_and_what_it_does_not(made):
    given, text = made
    caught = "100.0 % flagged; low likelihood alone would flag"
    assert f"- Catches MNIST: {caught} 0.0 %." in text
    assert f"- Catches noise: {caught} 100.0 %." in text
    assert "- Does not catch KMNIST, most of whose images pass: " in text
    in_set, calibration = given.exported.summary.in_set, given.exported.panel.guard.combined
    low, high = drift.expected_flagged(calibration.calibration, in_set.num_images)
    assert low <= round(in_set.flagged * in_set.num_images) <= high
    assert f"False alarms: {100 * in_set.flagged:.1f} % of the test images of FashionMNIST" in text
    assert (
        f"That fits the 10 % asked for: at that rate {low:,} to {high:,} of "
        f"{in_set.num_images:,} are flagged, by the luck of the 199 images that set the threshold."
    ) in text
    *titles, last = (one.title for one in given.exported.members.values())
    assert f"It joins {', '.join(titles)} and {last} into one score" in text
    assert "those of the other half, 199 images" in text and "is at most 0.1," in text
    assert "no proof" in text


def test_says_what_the_graph_leaves_out_and_what_that_costs(made):
    given, text = made
    assert "- Density of statistics does without code_bits." in text
    assert "- Input complexity is left out: it needs code_bits." in text
    pair = [one.summary.datasets["mnist/test"] for one in (given.full, given.exported)]
    costs = text.split("## What the exported guard goes without")[1]
    cells = row(costs, "MNIST")
    for cell, one in zip(cells[1:3], pair, strict=True):
        assert cell.startswith(f"{one.combined['auroc']:.3f} (")
    assert cells[3:] == [f"{100 * one.flagged:.1f} %" for one in pair]
    whole = card.model_card(dataclasses.replace(given, full=given.exported))
    assert "Nothing: a graph of TensorFlow computes all" in whole


def test_no_guard_no_card():
    tables = [complete(OWN, "fashion_mnist")]
    made = judged(tables, complete(HELD_OUT[:8], "fashion_mnist", "validation"), 0.1)
    with pytest.raises(ExportError, match="at least 17 validation images"):
        card.model_card(dataclasses.replace(facts(), exported=made))


def test_an_exact_likelihood_has_no_noise():
    given = facts(kind="exact", num_draws=1)
    text = card.model_card(given)
    assert "discrete image, exact" in text and "noise per image" not in text
    assert "other noise" not in text
    config = Config(model=PixelCNNConfig())
    text = card.model_card(dataclasses.replace(given, config=config))
    assert text.startswith("# Model card: PixelCNN of FashionMNIST")


def test_says_what_tensorfloat_32_does(made):
    given, text = made
    for words in ("TensorFloat-32", "as client.py does", "moved by 0.07 to 0.31 nats"):
        assert words in text
    assert "signal of the flow itself is in float64" in text
    other = card.model_card(dataclasses.replace(given, config=Config(model=PixelCNNConfig())))
    assert "TensorFloat-32" in other and "of the flow" not in other


def test_no_path_of_this_computer_is_shipped(tmp_path):
    given = facts({f"folder:{tmp_path}/photos": OWN[:50], **FEW})
    data = DataConfig(f"folder:{tmp_path}/mine")
    text = card.model_card(dataclasses.replace(given, config=Config(data=data)))
    assert row(text, "photos", "foreign") and str(tmp_path) not in text


def test_own_images_that_were_changed_are_not_called_foreign():
    reduction = {"reduction": {"of": "fashion_mnist", "kind": "contrast", "factor": 0.5}}
    given = facts({"contrast:0.5": OWN[:50]}, how=reduction)
    assert row(card.model_card(given), "own, contrast to 0.5", "own, changed")


def test_without_foreign_sets_says_that_nothing_is_known():
    assert "No foreign set was evaluated" in card.model_card(facts({}))
