"""The model card: its figures are those of the score tables."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood import detectors
from tfp_ood.config import Config, DataConfig, ExportConfig, PixelCNNConfig
from tfp_ood.detectors import conformal
from tfp_ood.export import card
from tfp_ood.reporting.summary import summarize

TRAINING = {"num_steps": 12_345, "seconds": 678.9, "resumed_at_step": 0}
RNG = np.random.default_rng(0)
OWN = RNG.normal(4.0, 0.3, 400)
HELD_OUT = RNG.normal(4.0, 0.3, 199)
FOREIGN = {
    "mnist": RNG.normal(2.0, 0.2, 300),  # too likely, all of them
    "noise": RNG.normal(8.0, 0.1, 300),  # too unlikely
    "kmnist": RNG.normal(4.0, 0.2, 300),  # as likely as its own
    "omniglot": RNG.normal(3.4, 0.05, 300),  # at the edge
}


def facts(foreign=FOREIGN, rate=0.1, **model):
    own = table(OWN, "fashion_mnist", **model)
    tables = [own, *(table(bits, name, **model) for name, bits in foreign.items())]
    return card.Facts(
        Config(data=DataConfig(out_of_distribution=tuple(foreign)), export=ExportConfig(rate)),
        TRAINING,
        summarize(tables[0], tables[1:]),
        tables,
        conformal.guard(detectors.DETECTORS["log_prob"], [table(HELD_OUT)], rate),
        ["log_prob", "log_prob_latent", "log_det"],
    )


@pytest.fixture(scope="module", name="made")
def _made():
    given = facts()
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
    for name in FOREIGN:
        entry = given.summary.datasets[f"{name}/test"]
        metrics = entry.scores["log_prob"]
        low, high = metrics["auroc_interval"]
        cells = row(text, entry.label, "300", f"{entry.bits_per_dim_mean:.2f}")
        assert cells[3] == f"{metrics['auroc']:.3f} ({low:.3f} to {high:.3f})"
    own, mnist = (given.summary.datasets[f"{n}/test"] for n in ("fashion_mnist", "mnist"))
    gap = own.bits_per_dim_mean - mnist.bits_per_dim_mean
    assert f"- MNIST gets {gap:.2f} bits/dim more likelihood than FashionMNIST" in text
    assert "AUROC 0.00; likelihood alone would let it through" in text


def test_has_the_guards_rates_from_the_tables(made):
    given, text = made
    labels = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST", "noise": "noise"}
    labels |= {"kmnist": "KMNIST", "omniglot": "Omniglot"}
    held_out = -given.guard.calibration.scores.astype(np.float64)
    for one in given.tables:
        unlikely = [np.sum(held_out <= x) + 1 for x in one.log_prob]
        likely = [np.sum(held_out >= x) + 1 for x in one.log_prob]
        shares = [np.mean(np.array(rank) <= 10) for rank in (unlikely, likely)]
        role = "own, test" if one.dataset == "fashion_mnist" else "foreign"
        cells = row(text, labels[one.dataset], role)
        assert cells[3].startswith(f"{100 * sum(shares):.1f} % (")
        assert cells[4:] == [f"{100 * share:.1f} %" for share in shares]


def test_says_what_the_guard_catches_and_what_it_does_not(made):
    _, text = made
    assert "- Catches MNIST: 100.0 % flagged, mostly as too likely." in text
    assert "- Catches noise: 100.0 % flagged, mostly as too unlikely." in text
    assert "- Does not catch KMNIST, most of whose images pass: " in text
    assert "False alarms: " in text and "of the test images of FashionMNIST" in text
    assert "no proof" in text


def test_nothing_flagged_has_no_side():
    given = facts({"kmnist": np.full(30, np.median(HELD_OUT))})
    assert "most of whose images pass: 0.0 % flagged." in card.model_card(given)


def test_an_exact_likelihood_has_no_noise():
    text = card.model_card(facts(kind="exact", num_draws=1))
    assert "discrete image, exact" in text and "noise per image" not in text
    assert "other noise" not in text
    config = Config(model=PixelCNNConfig())
    text = card.model_card(dataclasses.replace(facts(kind="exact", num_draws=1), config=config))
    assert text.startswith("# Model card: PixelCNN of FashionMNIST")


def test_no_path_of_this_computer_is_shipped(tmp_path):
    given = facts({f"folder:{tmp_path}/photos": OWN[:50], "mnist": OWN[:50]})
    data = DataConfig(f"folder:{tmp_path}/mine")
    text = card.model_card(dataclasses.replace(given, config=Config(data=data)))
    assert row(text, "photos", "foreign") and str(tmp_path) not in text


def test_own_images_that_were_changed_are_not_called_foreign():
    given = facts({"mnist": OWN[:50]})
    reduction = {"reduction": {"of": "fashion_mnist", "kind": "contrast", "factor": 0.5}}
    tables = [given.tables[0], table(OWN[:50], "contrast:0.5", preprocessing=reduction)]
    changed = dataclasses.replace(given, tables=tables, summary=summarize(tables[0], tables[1:]))
    assert row(card.model_card(changed), "own, contrast to 0.5", "own, changed")


def test_without_foreign_sets_says_that_nothing_is_known():
    assert "No foreign set was evaluated" in card.model_card(facts({}))
