import dataclasses
import json

import numpy as np
import pytest

from tests.evaluation.fakes import NUM_DIMS, table, with_columns
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting.summary import FORMAT, judge, read, summarize, to_json, write

OWN = table([2.0, 3.0, 4.0], "fashion_mnist")


def test_numbers_and_shape():
    summary = summarize(OWN, [table([1.0, 2.5], "mnist")])
    assert summary.in_distribution == "fashion_mnist"
    assert summary.model["family"] == "glow"
    assert summary.model["num_parameters"] == 1234
    assert (summary.model["kind"], summary.model["num_draws"]) == ("bound", 2)
    assert list(summary.datasets) == ["fashion_mnist/test", "mnist/test"]
    own, mnist = summary.datasets.values()
    assert own.num_images == 3
    assert own.bits_per_dim_mean == pytest.approx(3.0)
    assert own.bits_per_dim_std == pytest.approx(np.sqrt(2 / 3))
    assert own.log_prob_mean == pytest.approx(-3.0 * NUM_DIMS * np.log(2))
    assert not own.scores and "scores" not in to_json(summary)["datasets"]["fashion_mnist/test"]
    assert mnist.scores["log_prob"]["auroc"] == pytest.approx(1 / 6)
    metrics = {"auroc", "auprc_out", "auprc_in", "fpr95", "fpr95_in"}
    assert set(mnist.scores["log_prob"]) == metrics | {f"{name}_interval" for name in metrics}
    low, high = mnist.scores["log_prob"]["auroc_interval"]
    assert 0.0 <= low <= mnist.scores["log_prob"]["auroc"] <= high <= 1.0
    assert mnist.preprocessing["size_change"] == "none"


def test_it_is_strict_json():
    summary = summarize(OWN, [table([1.0], "mnist")])
    assert json.loads(json.dumps(to_json(summary), allow_nan=False))["datasets"] is not None


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"config_hash": "other"}, "config_hash is 'abc' in one and 'other'"),
        ({"family": "vae"}, "family"),
        ({"num_draws": 5}, "num_draws is 2 in one and 5"),
        ({"kind": "exact"}, "kind"),
        ({"step": 9}, "step is None in one and 9"),
    ],
)
def test_tables_of_different_models_are_refused(facts, message):
    with pytest.raises(EvaluationError, match=f"fashion_mnist/test and mnist/test.*{message}"):
        summarize(OWN, [table([1.0], "mnist", **facts)])


def test_a_set_is_not_judged_against_itself():
    with pytest.raises(EvaluationError, match="fashion_mnist/test"):
        summarize(OWN, [table([1.0], "mnist"), OWN])


def test_non_finite_tables_are_refused():
    with pytest.raises(EvaluationError, match="not finite"):
        summarize(OWN, [table([1.0, np.nan], "mnist")])


def test_a_generative_classifiers_confidence_is_told():
    own = dataclasses.replace(
        OWN,
        label=np.array([0, 1, 2]),
        statistics={
            "predicted_class": np.array([0.0, 1.0, 0.0]),
            "class_probability": np.array([0.95, 0.99, 0.5]),
            "class_entropy": np.array([0.1, 0.0, 0.8]),
        },
    )
    summary = summarize(own, [table([1.0], "mnist")])
    classifier = summary.datasets["fashion_mnist/test"].classifier
    assert classifier["label_agreement"] == pytest.approx(2 / 3)
    assert classifier["share_above_0.9"] == pytest.approx(2 / 3)
    assert classifier["class_entropy_mean"] == pytest.approx(0.3)
    assert summary.datasets["mnist/test"].classifier is None
    assert "classifier" not in to_json(summary)["datasets"]["mnist/test"]


def test_it_is_read_as_it_was_written(tmp_path):
    made = summarize(OWN, [table([1.0, 2.5], "mnist")])
    made = dataclasses.replace(made, diagnosis={"complexity": {"mnist/test": {"spearman": None}}})
    write(tmp_path / "summary.json", made)
    found = read(tmp_path / "summary.json")
    assert to_json(found) == json.loads((tmp_path / "summary.json").read_text())
    assert found.out_sets[0].likelihood == made.out_sets[0].likelihood
    assert found.in_set.label == "FashionMNIST" and found.detector_names == [
        "log_prob",
        "complexity",
    ]


RNG = np.random.default_rng(0)


def drawn(name, split="test", mean=3.0, bits=72.0, **facts):
    """A table of 200 images around this mean, and this length under the code."""
    made = table(RNG.normal(mean, 0.2, 200), name, split, **facts)
    return with_columns(made, code_bits=RNG.normal(bits, 0.8, 200))


def test_the_guard_s_figures_are_there_of_the_own_set_too(tmp_path):
    own, mnist = drawn("fashion_mnist"), drawn("mnist", mean=1.0, bits=0.0)
    panel, made = judge(own, [mnist], [drawn("fashion_mnist", "validation")], 0.1)
    write(tmp_path / "a.json", made)
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["false_alarm_rate"] == 0.1 and "reconstruction" in values["left_out"]
    ours, theirs = values["datasets"].values()
    assert list(theirs["scores"]) == list(panel.detectors) and "combined" in theirs["scores"]
    told = panel.guard.judge([mnist])
    assert theirs["flagged"] == np.mean(told.flagged) > 0.95
    assert theirs["flagged_by_likelihood"] == np.mean(told.beyond_likelihood) < 0.05
    low, high = ours["flagged_interval"]
    assert 0 < low < ours["flagged"] < high < 0.3
    assert read(tmp_path / "a.json").in_set.flagged == ours["flagged"]
    assert read(tmp_path / "a.json").out_sets[0].combined["auroc"] > 0.95


def test_without_a_guard_nothing_is_said_of_one():
    _, made = judge(OWN, [table([1.0], "mnist")], [], 0.05)
    values = to_json(made)
    assert values["false_alarm_rate"] is None
    assert not any("flagged" in key for entry in values["datasets"].values() for key in entry)
    few = table([3.0, 3.1], "fashion_mnist", "validation")
    _, made = judge(OWN, [table([1.0], "mnist")], [few], 0.05)
    assert made.false_alarm_rate is None and made.out_sets[0].combined is not None


def test_held_out_images_of_another_model_are_refused():
    other = drawn("fashion_mnist", "validation", config_hash="other")
    with pytest.raises(EvaluationError, match="config_hash"):
        judge(OWN, [table([1.0], "mnist")], [other], 0.05)


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": None}, {"new": 1}])
def test_another_format_is_refused(tmp_path, change):
    values = {**to_json(summarize(OWN, [table([1.0], "mnist")])), **change}
    (tmp_path / "a.json").write_text(json.dumps(values))
    with pytest.raises((ValueError, TypeError)):
        read(tmp_path / "a.json")
