import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.evaluation.fakes import write
from tfp_ood.config import Config, DataConfig, EvaluateConfig, ExportConfig
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import asked
from tfp_ood.reporting.audit.page import write_audit
from tfp_ood.reporting.run import report
from tfp_ood.reporting.run.report import write_report
from tfp_ood.workdir import open_workdir

SETS = [("fashion_mnist", "test"), ("mnist", "test")]


def write_audit_at_a_tenth(workdir, sets):
    return write_audit(workdir, sets, 0.1)


@pytest.fixture
def workdir(tmp_path):
    write(tmp_path, np.linspace(2, 4, 50), "fashion_mnist")
    write(tmp_path, np.linspace(1, 2.5, 30), "mnist")
    return tmp_path


def config(num_draws=2, num_test=0, rate=0.05, reference=""):
    return Config(
        data=DataConfig(num_test=num_test),
        evaluate=EvaluateConfig(num_draws=num_draws, reference=reference),
        export=ExportConfig(rate),
        seed=7,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num_draws": 7}, "num_draws was 2, now 7"), ({"num_test": 40}, "num_test is now 40")],
)
def test_scores_of_other_settings_are_refused(workdir, changes, said):
    with pytest.raises(EvaluationError, match=f"fashion_mnist/test .*{said}.*--mode=evaluate"):
        write_report(workdir, SETS, config(**changes))
    assert not (workdir / "report").exists()


def test_all_settings_that_differ_are_named(workdir):
    with pytest.raises(EvaluationError, match=r"num_draws was 2, now 7; .*num_test is now 40"):
        write_report(workdir, SETS, config(7, 40))


def give_samples(workdir, content, weights="0123"):
    path = open_workdir(workdir).sample_images
    path.parent.mkdir()
    facts = {"weights": weights, "temperature": 0.7}
    open_workdir(workdir).sample_facts.write_text(json.dumps(facts))
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)


def test_all_files_and_the_result(workdir):
    give_samples(workdir, np.zeros((4, 2, 2, 3), np.uint8))
    result = write_report(workdir, SETS, config())
    names = sorted(path.name for path in (workdir / "report").iterdir())
    figures = ["complexity", "extremes", "heat_map", "likelihoods", "roc"]
    both = [f"{name}.{kind}" for name in figures for kind in ("pdf", "png")]
    assert names == sorted([*both, "index.html", "samples.png", "summary.json"])
    assert result.path == workdir / "report" / "index.html"
    assert len(result.verdict) == 1
    assert result.verdict[0] in result.path.read_text(encoding="utf-8")
    summary = json.loads((workdir / "report" / "summary.json").read_text())
    assert summary["in_distribution"] == "fashion_mnist"
    assert summary["datasets"]["mnist/test"]["num_images"] == 30
    assert set(summary["diagnosis"]) == {"complexity"}


def test_a_ratio_to_another_reference_or_one_that_was_trained_again_is_refused(workdir, tmp_path):
    other = open_workdir(tmp_path / "background")
    other.model.mkdir(parents=True)
    other.config.write_text("{}")
    weights = other.model / "weights.data-00000-of-00001"
    weights.write_bytes(b"one")
    facts = {"reference": {"config_hash": "abc", "weights": other.weights}}
    write(workdir, np.linspace(2, 4, 50), "fashion_mnist", **facts)
    write(workdir, np.linspace(1, 2.5, 30), "mnist", **facts)
    now = config(reference=str(other.root))
    evidence = functools.partial(report._evidence, open_workdir(workdir), SETS, now)
    evidence()
    said = r"fashion_mnist/test .*evaluate\.reference .*trained again.*--mode=evaluate"
    weights.write_bytes(b"another")
    with pytest.raises(EvaluationError, match=said):
        evidence()
    weights.unlink()  # as a new training of it begins
    with pytest.raises(EvaluationError, match=said):
        evidence()
    other.root.rename(tmp_path / "moved")  # tables alone can be read
    evidence()


def test_a_run_with_held_out_images_has_a_guard(workdir):
    write(workdir, np.linspace(2, 4, 99), "fashion_mnist", "validation")
    result = write_report(workdir, SETS, config(rate=0.1))
    (said,) = result.verdict
    assert "likelihood alone would let it through. The guard " in said
    assert "at 10 % of false alarms (own test images flagged: " in said
    assert said in result.path.read_text(encoding="utf-8")
    summary = json.loads((workdir / "report" / "summary.json").read_text())
    assert summary["false_alarm_rate"] == 0.1
    entry = summary["datasets"]["mnist/test"]
    assert 0 <= entry["flagged"] <= 1 and {"log_prob", "combined"} <= set(entry["scores"])
    assert set(summary["diagnosis"]) == {"complexity", "mistakes"}
    assert (workdir / "report" / "mistakes.png").exists()


def test_held_out_images_of_another_training_are_not_asked(workdir):
    write(workdir, np.linspace(2, 4, 99), "fashion_mnist", "validation", config_hash="other")
    assert "guard" not in write_report(workdir, SETS).verdict[0]


def test_held_out_images_that_were_asked_otherwise_are_refused(workdir):
    """As where an evaluation was stopped before them: the page would lack a guard."""
    write(workdir, np.linspace(2, 4, 99), "fashion_mnist", "validation", symmetries=True)
    said = "fashion_mnist/test and fashion_mnist/validation .*symmetries is .*--mode=evaluate"
    with pytest.raises(EvaluationError, match=said):
        write_report(workdir, SETS)
    assert not (workdir / "report").exists()


@pytest.mark.parametrize("num_test", [0, 29, 40, 100])
def test_scores_of_another_choice_of_images_are_refused(workdir, num_test):
    chosen = {"preprocessing": {"chosen_at_random_of": 60}}
    write(workdir, np.linspace(2, 4, 30), "fashion_mnist", **chosen)
    write_report(workdir, SETS, config(num_test=30))
    said = f"fashion_mnist/test .*num_test is now {num_test}: they are of 30 of 60 images"
    with pytest.raises(EvaluationError, match=said):
        write_report(workdir, SETS, config(num_test=num_test))


def test_a_report_leaves_what_it_was_asked(workdir):
    write_report(workdir, SETS, config(rate=0.0001))  # too low for a guard
    expected = {"out_of_distribution": ["mnist"], "num_test": 0, "false_alarm_rate": 0.0001}
    assert asked.noted(open_workdir(workdir)) == expected


def test_without_samples_an_older_grid_goes(workdir):
    give_samples(workdir, np.zeros((4, 2, 2, 3), np.uint8))
    places = open_workdir(workdir)
    np.save(places.temperatures, np.zeros((2, 4, 2, 2, 3), np.uint8))
    facts = {"weights": "0123", "temperature": 0.7, "temperatures": [0.5, 1.0]}
    places.sample_facts.write_text(json.dumps(facts))
    assert "temperatures 0.5, 1," in write_report(workdir, SETS).path.read_text(encoding="utf-8")
    places.sample_images.unlink()
    result = write_report(workdir, SETS)
    assert not list((workdir / "report").glob("samples*"))
    assert "--mode=sample" in result.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"nonsense", np.zeros((2, 2))])
def test_damaged_samples_are_named(workdir, content):
    give_samples(workdir, content)
    with pytest.raises(EvaluationError, match=r"samples\.npy cannot be shown .*--mode=sample"):
        write_report(workdir, SETS)


def give_reconstructions(workdir, pairs):
    give_samples(workdir, np.zeros((4, 2, 2, 3), np.uint8))
    np.save(open_workdir(workdir).reconstructions, pairs)
    facts = {"weights": "0123", "temperature": 1.0, "reconstructed": ["fashion_mnist", "mnist"]}
    open_workdir(workdir).sample_facts.write_text(json.dumps(facts))


def test_reconstructions_are_shown_while_there_are_any(workdir):
    give_reconstructions(workdir, np.zeros((2, 2, 5, 2, 2, 3), np.uint8))
    result = write_report(workdir, SETS)
    picture = workdir / "report" / "reconstructions.png"
    assert picture.exists()
    assert "two rows each: FashionMNIST, MNIST" in result.path.read_text(encoding="utf-8")
    open_workdir(workdir).reconstructions.unlink()
    page = write_report(workdir, SETS).path.read_text(encoding="utf-8")
    assert not picture.exists() and "Reconstructions" not in page


def test_samples_are_said_to_be_of_the_temperature_that_they_were_drawn_at(workdir):
    """Whatever the config says by now."""
    give_samples(workdir, np.zeros((4, 2, 2, 3), np.uint8))
    page = write_report(workdir, SETS).path.read_text(encoding="utf-8")
    assert "Drawn from the model at temperature 0.7: what" in page


def test_damaged_reconstructions_are_named(workdir):
    give_reconstructions(workdir, np.zeros((5, 2, 2, 3), np.uint8))
    with pytest.raises(EvaluationError, match=r"reconstructions\.npy cannot .*--mode=sample"):
        write_report(workdir, SETS)
    np.save(open_workdir(workdir).reconstructions, np.zeros((2, 2, 5, 2, 2, 3), np.uint8))
    open_workdir(workdir).sample_facts.write_text("{}")
    with pytest.raises(EvaluationError, match=r"samples\.json cannot .*--mode=sample"):
        write_report(workdir, SETS)


def test_samples_of_other_weights_are_not_shown(workdir):
    give_reconstructions(workdir, np.zeros((2, 2, 5, 2, 2, 3), np.uint8))
    facts = {"weights": "of another training", "reconstructed": ["fashion_mnist", "mnist"]}
    open_workdir(workdir).sample_facts.write_text(json.dumps(facts))
    page = write_report(workdir, SETS).path.read_text(encoding="utf-8")
    assert "has not been sampled yet" in page and "Reconstructions" not in page
    assert not (workdir / "report" / "samples.png").exists()


@pytest.mark.parametrize("write_page", [write_report, write_audit_at_a_tenth])
def test_scores_of_weights_that_were_replaced_are_refused(workdir, write_page):
    write(workdir, np.linspace(2, 4, 99), "fashion_mnist", "validation")
    write_page(workdir, SETS)
    (workdir / "model").mkdir()
    (workdir / "model" / "weights.data-00000-of-00001").write_bytes(b"others")
    with pytest.raises(EvaluationError, match=r"older than the weights.*--mode=evaluate"):
        write_page(workdir, SETS)


@pytest.mark.parametrize("write_page", [write_report, write_audit_at_a_tenth])
def test_scores_beside_a_training_that_has_not_ended_are_refused(workdir, write_page):
    """Of another: the page would show its figures beside the new curves."""
    write(workdir, np.linspace(2, 4, 99), "fashion_mnist", "validation")
    (workdir / "backup").mkdir()
    with pytest.raises(EvaluationError, match=r"training .* not ended.*--mode=train"):
        write_page(workdir, SETS)
    assert not list(workdir.glob("*/index.html"))


def test_missing_tables_are_all_named_with_the_mode_that_makes_them(workdir):
    sets = [*SETS, ("noise", "all"), ("cifar10", "test")]
    with pytest.raises(EvaluationError, match=r"noise/all, cifar10/test .*--mode=evaluate"):
        write_report(workdir, sets)


def test_a_table_of_another_model_is_refused(workdir):
    write(workdir, [1.0], "noise", "all", config_hash="other")
    with pytest.raises(EvaluationError, match="noise/all cannot be compared: config_hash"):
        write_report(workdir, [*SETS, ("noise", "all")])
    assert not (workdir / "report").exists()


def test_a_damaged_table_is_named(workdir):
    path = open_workdir(workdir).score_table("mnist", "test")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EvaluationError, match=r"mnist\.test\.parquet is damaged"):
        write_report(workdir, SETS)


def test_one_set_is_nothing_to_compare(workdir):
    with pytest.raises(EvaluationError, match="out_of_distribution"):
        write_report(workdir, SETS[:1])


def test_neither_tensorflow_nor_a_display_is_needed():
    program = (
        "import sys, tfp_ood.reporting.run.report\n"
        "heavy = {'tensorflow', 'tf_keras', 'tensorflow_probability', 'matplotlib.pyplot'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_table_without_its_images_is_named(workdir):
    open_workdir(workdir).score_table("mnist", "test").with_suffix(".npz").unlink()
    with pytest.raises(EvaluationError, match=r"mnist\.test\.npz cannot be read .*--mode=evaluate"):
        write_report(workdir, SETS)
