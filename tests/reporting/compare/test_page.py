"""Several finished runs on one page."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.evaluation.fakes import write
from tests.reporting.pages import DASH, Parser
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting.compare import ensemble, plots
from tfp_ood.reporting.compare import page as compare
from tfp_ood.reporting.run.report import write_report
from tfp_ood.reporting.runs import read_runs

SETS = [("fashion_mnist", "test"), ("mnist", "test")]

TRAIN = {"num_steps": 2000, "batch_size": 32}


def finish(root, seed=0, foreign_bits=2.0, sets=SETS, **facts):
    """A run with a report: 60 own images around 3 bits/dim, and, of seed 0, 100 held-out ones."""
    rng = np.random.default_rng(seed)
    root.mkdir()
    (root / "config.json").write_text(json.dumps({"model": facts, "seed": seed, "train": TRAIN}))
    held_out = [(sets[0][0], "validation")] if seed == 0 else []
    for name, split in (*sets, *held_out):
        mean = 3.0 if name == sets[0][0] else foreign_bits
        count = 100 if split == "validation" else 60
        size = {"code_bits": np.full(count, 40.0 if name == sets[0][0] else 0.0)}
        bits = rng.normal(mean, 0.3, count)
        write(root, bits, name, split, size, seed=seed, config_hash=root.name, weights=root.name)
    write_report(root, sets)
    return root


@pytest.fixture(scope="module", name="finished")
def _finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    finish(folder / "glow_a")
    finish(folder / "glow_b", seed=1)
    finish(folder / "reverse", foreign_bits=9.0, sets=SETS[::-1], reverse=True)
    return folder


@pytest.fixture(name="workdirs")
def _workdirs(finished, tmp_path):
    """Copies of runs, for a test to change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return [tmp_path / name for name in ("glow_a", "glow_b", "reverse")]


def test_everything_on_one_page(workdirs, tmp_path):
    result = compare.write_comparison(workdirs, tmp_path / "all")
    names = sorted(path.name for path in (tmp_path / "all" / "report").iterdir())
    stems = ("likelihoods", "roc", "roc-combined")
    pictures = [f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")]
    assert names == sorted(["comparison.json", "index.html", *pictures])
    parsed = Parser(result.path.read_text(encoding="utf-8"))
    assert not {"script", "link"} & {tag for tag, _ in parsed.tags}
    words = " ".join(parsed.text)
    assert all(sentence in words for sentence in result.verdict) and len(result.verdict) == 4
    assert "In 2 of 3 pairs of a model and a foreign set" in result.verdict[0]
    assert "catches (AUROC of at least 0.95) 1: FashionMNIST under Glow (reverse), 1.000" in words
    assert "2,000 steps of 32" in words
    assert "of the foreign images in 2 of 2 pairs; fewest are" in result.verdict[2]
    assert "All detectors combined have their lowest AUROC on" in result.verdict[3]
    facts = json.loads((tmp_path / "all" / "report" / "comparison.json").read_text())
    assert [run["label"] for run in facts["runs"]] == [
        "Glow (glow_a)", "Glow (glow_b)", "Glow (reverse)"
    ]  # fmt: skip
    assert [run["weights"] for run in facts["runs"]] == ["glow_a", "glow_b", "reverse"]


def test_likelihood_and_the_guard_side_by_side(workdirs, tmp_path):
    result = compare.write_comparison(workdirs[:2], tmp_path / "all")
    words = " ".join(Parser(result.path.read_text(encoding="utf-8")).text)
    first, second = (run.sets[1].about for run in read_runs(workdirs[:2]))
    likelihood, combined = (f"{one['auroc']:.3f}" for one in (first.likelihood, first.combined))
    low, high = (f"{100 * end:.1f}" for end in first.flagged_interval)
    shown = (
        f"{100 * first.flagged:.1f} % {low}{DASH}{high} {100 * first.flagged_by_likelihood:.1f} %"
    )
    assert re.search(rf"Glow \(glow_a\) MNIST {likelihood} \S+ {combined} \S+ {shown}", words)
    # A run without held-out images has no guard.
    assert second.flagged is None
    assert re.search(rf"Glow \(glow_b\) MNIST \S+ \S+ {DASH} {DASH} {DASH} ", words)
    assert "Glow (glow_a): MNIST" in words and "FPR95, own positive" in words


def test_runs_without_a_guard_are_compared_by_likelihood(workdirs, tmp_path):
    result = compare.write_comparison(workdirs[1:2], tmp_path / "all")
    assert len(result.verdict) == 2
    assert not (tmp_path / "all" / "report" / "roc-combined.png").exists()


def test_seeds_of_one_config_are_an_ensemble(workdirs, tmp_path):
    result = compare.write_comparison(workdirs, tmp_path / "all")
    facts = json.loads((tmp_path / "all" / "report" / "comparison.json").read_text())
    (found,) = facts["ensembles"]
    assert found["members"] == ["Glow (glow_a)", "Glow (glow_b)"]
    scores = found["sets"]["mnist/test"]
    assert set(scores) == {"Glow (glow_a)", "Glow (glow_b)", "mean", "disagreement", "waic"}
    assert 0.0 <= scores["waic"]["auroc_interval"][0] <= scores["waic"]["auroc"] <= 1.0
    said = f"MNIST by WAIC: AUROC {scores['waic']['auroc']:.2f}, where members alone have"
    assert said in result.path.read_text(encoding="utf-8")
    assert "WAIC, mean minus variance" in result.path.read_text(encoding="utf-8")


def test_without_seeds_there_is_no_ensemble(workdirs, tmp_path):
    result = compare.write_comparison(workdirs[1:], tmp_path / "all")
    assert "Ensembles" not in result.path.read_text(encoding="utf-8")


def test_panels_share_an_axis_and_sets_keep_their_colour(workdirs):
    panels = plots.likelihoods(read_runs(workdirs)).axes
    assert len({axes.get_xlim() for axes in panels}) == 1
    low, high = panels[0].get_xlim()
    assert low > high  # likelier is to the right
    assert "off the axis" not in panels[0].get_legend().get_texts()[1].get_text()
    colours = [axes.patches[1].get_edgecolor() for axes in panels]
    assert colours[0] == colours[1] != colours[2]


def test_the_same_name_elsewhere_is_told_apart(finished, tmp_path):
    for parent in ("x", "y"):
        shutil.copytree(finished, tmp_path / parent)
    runs = read_runs([tmp_path / parent / "glow_a" for parent in ("x", "y")])
    assert [run.label for run in runs] == ["Glow (x/glow_a)", "Glow (y/glow_a)"]


def test_a_run_without_a_report_is_named(workdirs, tmp_path):
    (workdirs[1] / "report" / "summary.json").unlink()
    with pytest.raises(EvaluationError, match=r"glow_b is not a run with a current report"):
        compare.write_comparison(workdirs, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_run_does_not_lose_its_own_report(workdirs):
    with pytest.raises(EvaluationError, match="one of the runs"):
        compare.write_comparison(workdirs, workdirs[0])


def test_nor_does_another_run(workdirs):
    with pytest.raises(EvaluationError, match="is a run, whose own report it would replace"):
        compare.write_comparison(workdirs[:2], workdirs[2])


@pytest.mark.parametrize(
    ("waic", "interval", "said"),
    [
        (0.45, (0.40, 0.49), "more usual still than own images"),
        (0.50, (0.48, 0.52), "told no better than by a coin"),
        (0.55, (0.51, 0.60), "told better than by a coin"),
    ],
)
def test_what_is_said_of_waic_is_beyond_its_interval(waic, interval, said):
    found = {"a": {"auroc": 0.9}, "waic": {"auroc": waic, "auroc_interval": interval}}
    assert ensemble._sentence("MNIST", found, ["a"]).endswith(f"; {said}.")


def test_a_run_is_compared_once(workdirs):
    with pytest.raises(EvaluationError, match="given twice"):
        read_runs([workdirs[0], workdirs[0]])


def test_a_report_that_is_older_than_its_scores_is_named(workdirs):
    facts = {"seed": 1, "config_hash": "glow_b", "weights": "glow_b"}
    write(workdirs[1], [1.0, 2.0], "mnist", "test", **facts)
    with pytest.raises(EvaluationError, match=r"glow_b is older than its scores of mnist/test"):
        read_runs(workdirs)


def test_a_damaged_config_is_named(workdirs):
    (workdirs[2] / "config.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"reverse is not a run .*'seed'"):
        read_runs(workdirs)
