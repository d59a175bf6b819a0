"""The paper's figures beside ours: same quantity, both sizes, nothing claimed that was not run."""

import json
import shutil

import numpy as np
import pytest

from tests.evaluation.fakes import write
from tests.reporting.pages import DASH, Parser
from tests.reporting.paper.test_match import run
from tfp_ood.config import from_config_dict
from tfp_ood.errors import EvaluationError
from tfp_ood.experiments import experiment
from tfp_ood.reporting.paper import facts as paper_facts
from tfp_ood.reporting.paper import page as paper_page
from tfp_ood.reporting.run.report import write_report

SETS = [("fashion_mnist", "test"), ("mnist", "test")]


@pytest.fixture(scope="module", name="workdirs")
def _workdirs(tmp_path_factory):
    """A small Glow and a small VAE of FashionMNIST with reports."""
    folder = tmp_path_factory.mktemp("runs")
    for family in ("glow", "vae"):
        root = folder / family
        root.mkdir()
        facts = from_config_dict(experiment(family, "fashion_mnist", "small")).training_facts()
        (root / "config.json").write_text(json.dumps(facts))
        for (name, split), bits in zip(SETS, (3.0, 2.0), strict=True):
            size = {"code_bits": np.full(27, 40.0 if bits == 3.0 else 0.0)}
            write(root, [bits - 0.1, bits, bits + 0.1] * 9, name, split, size, family=family)
        if family == "glow":
            held_out = np.random.default_rng(0).normal(3.0, 0.1, 100)
            size = {"code_bits": np.full(100, 40.0)}
            write(root, held_out, "fashion_mnist", "validation", size, family=family)
        write_report(root, SETS)
    return [folder / "glow", folder / "vae"]


@pytest.fixture(scope="module", name="page")
def _page(workdirs, tmp_path_factory):
    return paper_page.write_paper_page(workdirs, tmp_path_factory.mktemp("paper"))


def test_theirs_and_ours_side_by_side(page):
    parsed = Parser(page.path.read_text(encoding="utf-8"))
    words = " ".join(parsed.text)
    assert not {"script", "link"} & {tag for tag, _ in parsed.tags}
    assert "2.958 unverified, recalled 3.000 Glow (glow), smaller +0.042" in words
    assert "1.833 unverified, recalled 2.000 Glow (glow), smaller +0.167" in words
    assert "Morningstar" in words and words.count("not run") >= 8
    for finding in paper_facts.FINDINGS.values():
        assert finding.says in words
    facts = json.loads(page.path.with_name("paper.json").read_text())
    assert [row["ours"] for row in facts["numbers"]] == pytest.approx([3.0, 2.0])
    runs = [{"run": name, "weights": "0123"} for name in ("Glow (glow)", "VAE (vae)")]
    assert facts["runs"] == runs
    assert all(row["is_smaller"] for row in facts["numbers"])
    assert len(facts["findings"]["foreign_likelier"]) == 2
    assert page.path.with_name("numbers.png").exists()
    assert page.path.with_name("likelihoods.pdf").exists()


def test_the_paper_s_pairs_by_the_guard(page):
    (entry,) = json.loads(page.path.with_name("paper.json").read_text())["guard"]
    assert (entry["run"], entry["pair"]) == ("Glow (glow)", "FashionMNIST -> MNIST")
    assert entry["auroc_of_likelihood"] == 0.0 and entry["auroc_of_combined"] > 0.9
    words = " ".join(Parser(page.path.read_text(encoding="utf-8")).text)
    assert "With the guard" in words and "The paper has no remedy." in words
    assert f"FashionMNIST -> MNIST Glow (glow) 0.000 0.000{DASH}0.000" in words
    assert f"{100 * entry['flagged']:.1f} %" in words


def test_without_guarded_runs_nothing_is_said_of_one():
    assert paper_page._guard_section([run("vae")]) == ""


def test_the_verdict_does_not_claim_what_is_smaller(page):
    assert page.verdict == [
        "Of the paper's 8 findings listed here these runs speak to 1: 1 came out the same in every "
        "run, 0 in some, 0 in none.",
        "2 of 2 runs are smaller or shorter than the paper's, or not a model of it: they compare "
        "in direction, and reproduce none of its figures.",
        "5 of the 12 figures of others are recalled and not verified; they are marked.",
    ]


def test_at_the_paper_s_size_it_is_said():
    given = run("glow", size="paper")
    found = paper_page.measured([given])
    assert "at least the paper's size" in paper_page.paper_outcome([], found)[1]


def test_a_small_run_that_matches_a_figure_alone_is_smaller_too():
    number = paper_facts.NUMBERS[0]
    said = paper_page.paper_outcome([(number, run("glow", size="small"), 1.0)], {})[1]
    assert said.startswith("1 of 1 runs are smaller or shorter")


def test_pictures_of_the_runs_are_the_counterparts(page):
    alts = [
        attributes["alt"] for tag, attributes in Parser(page.path.read_text()).tags if tag == "img"
    ]
    assert "Foreign images are likelier: Glow (glow)" in alts
    assert "Foreign images are likelier: VAE (vae)" in alts


def test_runs_that_the_paper_does_not_have_are_refused(workdirs, tmp_path):
    root = tmp_path / "glow"
    shutil.copytree(workdirs[0], root)
    sets = [(name, "test") for name in ("kmnist", "omniglot")]
    for name, split in sets:
        write(root, [3.0, 4.0], name, split)
    write_report(root, sets)
    with pytest.raises(EvaluationError, match="None of the runs"):
        paper_page.write_paper_page([root], tmp_path / "paper")
    assert not (tmp_path / "paper").exists()


def test_a_run_does_not_lose_its_own_report(workdirs):
    with pytest.raises(EvaluationError, match="one of the runs"):
        paper_page.write_paper_page(workdirs, workdirs[1])
