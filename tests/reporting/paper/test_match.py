"""Which runs stand beside the paper's models; nothing smaller passes for the paper's size."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.fakes import judged, table
from tfp_ood.config import fingerprint, from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.reporting.paper import facts as paper_facts
from tfp_ood.reporting.paper import match as paper_match
from tfp_ood.reporting.runs import Run
from tfp_ood.reporting.summary import summarize
from tfp_ood.workdir import open_workdir

RNG = np.random.default_rng(0)


def run(
    family="glow", pair="fashion_mnist", size="small", sets=None, label="", diagnosis=None, **m
):
    """A run of one of the experiments; `sets`: (name, bits/dim) with the own one first."""
    config = experiment(family, pair, size)
    config.model.update(m)
    sets = sets or (("fashion_mnist", 3.0), ("mnist", 2.0))
    config.data.in_distribution = sets[0][0]
    config.data.out_of_distribution = tuple(name for name, _ in sets[1:])
    facts = from_config_dict(config).training_facts()
    tables = [
        table(RNG.normal(bits, 0.1, 40), name, family=family, config_hash=fingerprint(facts))
        for name, bits in sets
    ]
    summary = summarize(tables[0], tables[1:])
    summary = dataclasses.replace(summary, diagnosis=diagnosis or {})
    workdir = open_workdir("runs/none")
    return Run(label or f"{family} ({pair})", workdir, facts, summary, judged(tables))


@pytest.mark.parametrize(
    ("family", "options", "expected"),
    [
        ("glow", {}, "glow"),
        ("glow", {"coupling": "additive"}, "glow_constant_volume"),
        ("glow", {"num_classes": 10}, "glow_class_conditional"),
        ("vae", {}, "vae"),
        ("real_nvp", {}, "real_nvp"),
    ],
)
def test_kinds(family, options, expected):
    assert paper_match.kind(run(family, **options)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("svhn_cropped", "svhn_cropped"),
        ("array:/x/SVHN_test.npy", "svhn_cropped"),
        ("folder:/svhn/photos", "folder:/svhn/photos"),
        ("array:/x/celeb_a32.npy", "celeb_a"),
        ("noise", "noise"),
        ("contrast:0.5", "contrast:0.5"),
    ],
)
def test_a_file_is_taken_for_a_set_by_its_own_name(name, expected):
    assert paper_match.data_set(name) == expected
    note = paper_match.set_note(name)
    assert note.endswith("by its name") == (name != expected)


@pytest.mark.parametrize("family", ["glow", "pixel_cnn", "vae"])
@pytest.mark.parametrize("pair", ["fashion_mnist", "cifar10"])
def test_the_paper_s_size_is_not_smaller_and_small_is(family, pair):
    sets = None if pair == "fashion_mnist" else (("cifar10", 3.0), ("svhn_cropped", 2.0))
    paper, small = (run(family, pair, size, sets) for size in ("paper", "small"))
    assert paper_match.is_smaller(small) and not paper_match.is_smaller(paper)
    assert any("train.num_steps" in words for words in paper_match.differences(small))
    assert not any("model." in words for words in paper_match.differences(paper))


def test_what_the_paper_does_not_have_is_never_of_its_size():
    given = run("real_nvp")
    assert paper_match.is_smaller(given)
    assert paper_match.differences(given) == [
        "not a model of the paper, or one of which nothing is known"
    ]
    assert "nothing is known" in paper_match.theirs(given)


def test_both_budgets_are_said():
    given = run("glow")
    assert "5,000 steps of 64 with adam" in paper_match.ours(given)
    assert "1,234 parameters (num_levels 2, num_steps 8, num_hidden 64" in paper_match.ours(given)
    assert "num_hidden 200" in paper_match.theirs(given)
    assert "num_steps 100,000" in paper_match.theirs(given)
    assert "model.num_hidden 64, the paper 200" in paper_match.differences(given)


def test_what_no_config_says_of_the_architecture_is_said():
    for given, words in (
        (run("glow"), "no floor of the scales of couplings and split prior, where ours have one"),
        (run("pixel_cnn"), "ours has weight normalization, and two last layers"),
    ):
        assert words in paper_match.differences(given)[-1]


def test_facts_are_about_models_and_sets_that_there_are():
    for number in paper_facts.NUMBERS:
        assert number.model in paper_facts.SETUPS and number.status in paper_facts.STATUS
        assert {number.trained_on, number.judged_on} <= set(paper_match.names.DISPLAY_NAMES)
        assert number.source
    config = dataclasses.asdict(from_config_dict(experiment("glow", "cifar10", "paper")))
    for key in paper_facts.SETUPS["glow"].color:
        group, name = key.split(".")
        assert name in config[group]
