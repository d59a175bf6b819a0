"""The report on rotated digits, out of tables with known content."""

import dataclasses
import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from tfp_ood.errors import EvaluationError
from tfp_ood.rotated import plots, predictions
from tfp_ood.rotated.config import (
    VARIANTS,
    PredictConfig,
    RotatedConfig,
    RotatedDataConfig,
)
from tfp_ood.rotated.predictions import Predictions
from tfp_ood.rotated.report import write_report
from tfp_ood.rotated.summary import LABELS, rotated_outcome, summarize
from tfp_ood.workdir import weights_id

ANGLES = np.linspace(0, 180, 7)
DIGITS = (3, 9)
NUM = 2  # images of each digit
ASKED = {"digits": DIGITS, "num_rotated": NUM, "num_angles": len(ANGLES), "num_test": 0}
SETTINGS = RotatedConfig(
    data=RotatedDataConfig(**ASKED, out_of_distribution=("array:/x/letters.npy",)),
    evaluate=PredictConfig(num_draws=50),
)


def certain(classes, probability):
    """`probability` for each class, the rest spread evenly: [N, 10]."""
    classes = np.asarray(classes)
    rows = np.full((len(classes), 10), (1 - probability) / 9)
    rows[np.arange(len(classes)), classes] = probability
    return rows


def facts(variant):
    network = {"num_parameters": 100, "num_epochs": 3, "seconds": 1.5, "validation_accuracy": 0.9}
    networks = [network] * (5 if variant == "ensemble" else 1)
    return {
        "variant": variant,
        "config_hash": "x",
        "weights": {f"{variant}_0": "0123"},
        "num_draws": 50,
        "networks": networks,
    }


def rotated_table(variant):
    """Plain softmax is certain that a 3 is a 4 from 60 to 120 degrees; others hesitate there."""
    labels = np.repeat(DIGITS, NUM * len(ANGLES))
    angle = np.tile(ANGLES, len(DIGITS) * NUM)
    keys = {"label": labels, "index": np.repeat([5, 6, 7, 8], len(ANGLES)), "angle": angle}
    fooled = (labels == 3) & (angle >= 60) & (angle <= 120)
    told = np.where(fooled, 4, labels)
    probabilities = certain(told, 0.95 if variant == "softmax" else 0.5)
    return Predictions(keys, probabilities, {**facts(variant), **ASKED})


def sets_table(variant):
    keys = {
        "dataset": np.repeat(["mnist", "array:/x/letters.npy"], [20, 10]),
        "split": np.repeat(["test", "all"], [20, 10]),
        "label": np.concatenate([np.arange(20) % 10, np.full(10, -1)]),
        "index": np.concatenate([np.arange(20), np.arange(10)]),
    }
    own = certain(np.arange(20) % 10, 0.9)
    names = {"sets": [["mnist", "test", 20], ["array:/x/letters.npy", "all", 10]]}
    probabilities = np.concatenate([own, certain([0] * 10, 0.4)])
    return Predictions(keys, probabilities, {**facts(variant), **names})


TABLES = {"rotated": rotated_table, "sets": sets_table}


@pytest.fixture(name="workdir")
def _workdir(tmp_path):
    for variant in VARIANTS:
        for kind, make in TABLES.items():
            predictions.write(predictions.table_path(tmp_path, variant, kind), make(variant))
    pictures = np.zeros((len(DIGITS), NUM, len(ANGLES), 28, 28, 1), np.uint8)
    pictures[:, 1] = 200
    predictions.write_pictures(tmp_path, pictures, ASKED)
    return tmp_path


def summary_of(variants=VARIANTS):
    tables = ({v: make(v) for v in variants} for make in TABLES.values())
    return summarize(*tables, digit_index=1)


def test_ranges_of_confident_error_and_entropies_there():
    summary = summary_of()
    drawn = summary["digits"]["3"]
    assert drawn["test_index"] == 6
    (found,) = drawn["confidently_wrong"]
    assert (found["from_angle"], found["to_angle"], found["classes"]) == (60, 120, [4])
    assert found["largest_probability"] == pytest.approx(0.95)
    spread = Predictions({}, certain([4], 0.5), {}).entropy[0]
    assert found["mean_entropy"]["mnf"] == pytest.approx(spread)
    assert found["mean_entropy"]["softmax"] < 0.5 < found["mean_entropy"]["flipout"]
    assert drawn["confidently_wrong_angles"] == {**dict.fromkeys(VARIANTS, 0), "softmax": 3}
    assert not summary["digits"]["9"]["confidently_wrong"]


def test_all_turned_digits_leave_out_6_and_9():
    turned = summary_of()["turned"]
    assert turned["digits"] == [3] and turned["num_images"] == NUM
    softmax = turned["variants"]["softmax"]
    assert softmax["share_confidently_wrong"] == [0, 0, 1, 1, 1, 0, 0]
    assert softmax["share_confidently_wrong_all"] == pytest.approx(3 / 7)


def test_sets_have_accuracy_or_a_detector():
    own, foreign = summary_of()["sets"].values()
    assert own["variants"]["mnf"]["accuracy"] == 1.0 and own["label"] == "MNIST"
    assert foreign["variants"]["mnf"]["auroc"] == 1.0 and foreign["label"] == "letters.npy"
    assert foreign["num_images"] == 10


def test_sentences_name_angles_classes_and_variants():
    three, nine, turned, sets = rotated_outcome(summary_of())
    assert "3, turned by 60 to 120 degrees: plain softmax is certain of 4" in three
    assert "Flipout 1.79" in three
    assert "9: plain softmax gives no wrong class" in nine
    assert "plain softmax 43%, MC dropout 0%" in turned
    assert "letters.npy" in sets and "multiplicative flows 1.00" in sets


def test_the_page_holds_everything_and_asks_for_nothing(workdir):
    result = write_report(workdir, VARIANTS, 0, SETTINGS)
    path, page = result.path, result.path.read_text()
    assert page.count("data:image/png;base64,") == len(DIGITS) + 2
    assert "http" not in page.replace("http-equiv", "") and 'src="data' in page
    assert "60&ndash;120" in page
    for label in LABELS.values():
        assert label in page
    for name in ("digit_3", "digit_9", "turned", "entropy"):
        for suffix in ("png", "pdf"):
            assert (path.parent / f"{name}.{suffix}").stat().st_size > 1000
    summary = json.loads((path.parent / "summary.json").read_text())
    assert rotated_outcome(summary) == result.verdict
    assert summary["variants"]["mnf"]["weights"] == {"mnf_0": "0123"}


@pytest.mark.parametrize("index", [0, 1])
def test_pictures_are_of_the_image_that_is_drawn(index, workdir, monkeypatch):
    seen = []

    def figure(tables, pictures, digit):
        seen.append((int(tables["softmax"].keys["index"][0]), int(pictures.max())))
        return Figure()

    monkeypatch.setattr(plots, "digit_figure", figure)
    write_report(workdir, VARIANTS, index, SETTINGS)
    assert seen == [(5 + index, 200 * index), (7 + index, 200 * index)]


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("data", {"digits": (3, 8)}),
        ("data", {"num_rotated": 20}),
        ("data", {"num_angles": 13}),
        ("data", {"num_test": 100}),
        ("data", {"out_of_distribution": ("array:/x/letters.npy", "fashion_mnist")}),
        ("evaluate", {"num_draws": 99}),
    ],
)
def test_predictions_of_other_settings_are_refused(group, changes, workdir):
    (key,) = changes
    part = dataclasses.replace(getattr(SETTINGS, group), **changes)
    with pytest.raises(EvaluationError, match=rf"config\.{group}\.{key} was .*--mode=evaluate"):
        write_report(workdir, VARIANTS, 0, dataclasses.replace(SETTINGS, **{group: part}))


def test_pictures_of_an_earlier_version_are_made_again(workdir):
    (workdir / predictions.PICTURES).rename(workdir / "predictions" / "digits.npy")
    with pytest.raises(EvaluationError, match=r"digits\.npz cannot be read.*--mode=evaluate"):
        write_report(workdir, VARIANTS, 0)


def test_pictures_of_other_digits_are_never_shown(workdir):
    """As those of an evaluation that was asked for others."""
    pictures = np.zeros((len(DIGITS), NUM, len(ANGLES), 28, 28, 1), np.uint8)
    predictions.write_pictures(workdir, pictures, {**ASKED, "digits": (1, 2)})
    with pytest.raises(EvaluationError, match=r"not those that were asked.*--mode=evaluate"):
        write_report(workdir, VARIANTS, 0)


def test_some_variants_alone_can_be_shown(workdir):
    result = write_report(workdir, ("softmax", "mnf"), 0)
    assert "Flipout" not in " ".join(result.verdict)


def test_missing_tables_and_pictures_name_the_stage(workdir):
    (workdir / predictions.PICTURES).unlink()
    with pytest.raises(EvaluationError, match="--mode=evaluate"):
        write_report(workdir, VARIANTS, 0)
    predictions.table_path(workdir, "mnf", "sets").unlink()
    with pytest.raises(EvaluationError, match=r"mnf\.sets\.parquet; --mode=evaluate"):
        write_report(workdir, VARIANTS, 0)


@pytest.mark.parametrize("kind", TABLES)
def test_predictions_of_weights_that_were_replaced_are_refused(kind, workdir):
    """Where one of a network's two tables alone was made again, too."""
    folder = workdir / "model" / "mnf_0"
    folder.mkdir(parents=True)
    (folder / "weights.data-00000-of-00001").write_bytes(b"others")
    (again,) = set(TABLES) - {kind}
    table = TABLES[again]("mnf")
    table.metadata["weights"] = {"mnf_0": weights_id(folder)}
    predictions.write(predictions.table_path(workdir, "mnf", again), table)
    with pytest.raises(EvaluationError, match=r"older than the network mnf_0.*--mode=evaluate"):
        write_report(workdir, VARIANTS, 0)


def test_predictions_of_a_network_that_is_gone_while_others_are_there_are_refused(workdir):
    for variant in set(VARIANTS) - {"mnf"}:
        for kind, make in TABLES.items():
            table = make(variant)
            folder = workdir / "model" / f"{variant}_0"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weights.data-00000-of-00001").write_bytes(b"")
            table.metadata["weights"] = {folder.name: weights_id(folder)}
            predictions.write(predictions.table_path(workdir, variant, kind), table)
    with pytest.raises(EvaluationError, match=r"mnf_0, which is not in .*model.*--mode=train"):
        write_report(workdir, VARIANTS, 0)


def test_tables_of_different_networks_are_refused():
    tables = {v: rotated_table(v) for v in ("softmax", "mnf")}
    tables["mnf"].metadata["config_hash"] = "y"
    sets = {v: sets_table(v) for v in tables}
    with pytest.raises(EvaluationError, match="different networks or images"):
        summarize(tables, sets, 0)
