"""WORKDIR/export of a trained run: whole, from current tables, with a client that runs."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.damaged import change_a_bit
from tests.guards import check, verdicts
from tests.nasty import ALL
from tfp_ood import detectors
from tfp_ood.config import (
    Config,
    DataConfig,
    EvaluateConfig,
    ExportConfig,
    GlowConfig,
    TrainConfig,
)
from tfp_ood.data import pipeline
from tfp_ood.errors import EvaluationError, ExportError, TrainingError, UserError
from tfp_ood.evaluation import asked, evaluate, tables
from tfp_ood.export import bundle, saved_model
from tfp_ood.training import fit
from tfp_ood.workdir import open_workdir

CONFIG = Config(
    data=DataConfig(num_validation=12, out_of_distribution=("mnist", "constant")),
    model=GlowConfig(num_levels=1, num_steps=1, num_hidden=4),
    train=TrainConfig(batch_size=8, num_steps=2, steps_per_epoch=2, warmup_steps=1),
    evaluate=EvaluateConfig(batch_size=5),
    export=ExportConfig(false_alarm_rate=0.4),
)


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory, data_dir):
    workdir = open_workdir(tmp_path_factory.mktemp("runs") / "run")
    with pytest.raises(TrainingError, match="run --mode=train first"):
        bundle.write_export(CONFIG, workdir, data_dir)
    fit.train(CONFIG, workdir, data_dir)
    with pytest.raises(EvaluationError, match=r"fashion_mnist/test, mnist/test.*--mode=evaluate f"):
        bundle.write_export(CONFIG, workdir, data_dir)
    assert not workdir.export.exists()
    evaluate.evaluate(CONFIG, workdir, data_dir)
    assert bundle.write_export(CONFIG, workdir, data_dir) == workdir.export
    return workdir


def images_of(data_dir, role, name="fashion_mnist"):
    return pipeline.load(pipeline.open_split(name, role, CONFIG.data, data_dir))[0]


def test_everything_is_there_and_nothing_else(workdir):
    assert {p.name for p in workdir.export.iterdir()} == {"model", "model_card.md", "client.py"}
    assert not list(workdir.root.glob(".*"))


def test_the_guard_is_calibrated_with_half_of_the_validation_images(workdir, data_dir):
    images = images_of(data_dir, "validation")
    assert len(images) == 12
    table = tables.read_score_table(workdir.score_table("fashion_mnist", "validation"))
    signatures = tf.saved_model.load(str(workdir.export / "model")).signatures
    told = signatures["guard"](images=tf.constant(images))
    np.testing.assert_allclose(told["log_prob"], table.log_prob, rtol=1e-5)
    np.testing.assert_array_equal(told["code_bits"], table.statistics["code_bits"])
    _, half = detectors.halves(table)
    percentiles = sorted(told["percentile"].numpy()[half.index])
    np.testing.assert_allclose(percentiles, 100 * (np.arange(6) + 0.5) / 6, rtol=1e-6)


def test_copies_of_a_held_out_image_count_once_as_they_do_on_the_page(
    workdir, data_dir, monkeypatch
):
    """The graph cannot compute what tells them, and need not."""
    judged, held_out = evaluate.current_tables(CONFIG, workdir, data_dir)
    copied = held_out.take(np.repeat(np.arange(12), 3))
    monkeypatch.setattr(evaluate, "current_tables", lambda *_: (judged, copied))
    exported = []
    monkeypatch.setattr(saved_model, "write", lambda *given: exported.append(given[3]))
    bundle.write_export(
        CONFIG, open_workdir(shutil.copytree(workdir.root, workdir.root.parent / "c")), data_dir
    )
    of_page = detectors.panel([copied], judged, 0.4).guard.combined.calibration
    np.testing.assert_allclose(exported[0].combined.calibration.scores, of_page.scores, 1e-6)
    assert of_page.num_images == 6


def test_exported_likelihoods_are_those_of_the_tables(workdir, data_dir):
    loaded = tf.saved_model.load(str(workdir.export / "model"))
    assert loaded.batch_size() == CONFIG.scoring_batch_size == 5
    signatures = loaded.signatures
    for name, role in (("fashion_mnist", "test"), ("mnist", "out")):
        table = tables.read_score_table(workdir.score_table(name, "test"))
        told = signatures["log_prob"](images=tf.constant(images_of(data_dir, role, name)))
        np.testing.assert_allclose(told["log_prob"], table.log_prob, rtol=1e-5)
        np.testing.assert_allclose(told["bits_per_dim"], table.bits_per_dim, rtol=1e-5)


def test_the_client_runs_in_any_folder(workdir, data_dir, tmp_path):
    images = np.concatenate(
        [images_of(data_dir, "validation"), np.zeros([1, *CONFIG.data.image_shape], np.uint8)]
    )
    np.save(tmp_path / "images.npy", images)
    export = shutil.copytree(workdir.export, tmp_path / ALL / "export")
    # In three batches, of the size that scoring takes.
    assert "\nBATCH = 5\n" in (export / "client.py").read_text(encoding="utf-8")
    as_anywhere = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(export / "client.py"), "images.npy"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**as_anywhere, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tensorflow" in imported and "keras" not in imported, "Keras 3 takes two seconds"
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(i) for i in range(13)]
    told = tf.saved_model.load(str(workdir.export / "model")).signatures["guard"](
        images=tf.constant(images)
    )
    for i, line in enumerate(lines):
        assert f"{told['bits_per_dim'][i]:.3f} bits/dim" in line
        assert f"p = {told['p_value'][i]:.4f}: " in line
        reasons = told["reasons"][i].numpy().decode() or "all detectors together"
        flagged = told["is_out_of_distribution"][i]
        assert line.endswith(f": OUT OF DISTRIBUTION ({reasons})" if flagged else ": usual")
    assert "OUT OF DISTRIBUTION (unusual " in lines[12] and ": usual" in "".join(lines[:12])


def test_it_is_written_anew_with_another_rate(workdir, data_dir):
    before = workdir.score_table("fashion_mnist", "validation").stat().st_mtime_ns
    config = dataclasses.replace(CONFIG, export=ExportConfig(0.45))
    bundle.write_export(config, workdir, data_dir)
    assert "at most 0.45" in (workdir.export / "model_card.md").read_text()
    after = workdir.score_table("fashion_mnist", "validation").stat().st_mtime_ns
    assert before == after
    bundle.write_export(CONFIG, workdir, data_dir)


def test_its_rate_is_the_run_s_from_then_on(workdir, data_dir, tmp_path):
    copy = open_workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    export = dataclasses.replace(CONFIG.export, false_alarm_rate=0.3)
    bundle.write_export(dataclasses.replace(CONFIG, export=export), copy, data_dir)
    assert asked.noted(copy)["false_alarm_rate"] == 0.3


def test_a_failed_export_leaves_the_old_one(workdir, data_dir, monkeypatch):
    card = (workdir.export / "model_card.md").read_text()
    with pytest.raises(ExportError, match=r"valid is at least 0\.143, .* at least 37 val"):
        bundle.write_export(
            dataclasses.replace(CONFIG, export=ExportConfig(0.05)), workdir, data_dir
        )

    def fails(path, *_):
        path.mkdir()
        raise RuntimeError("on the way")

    monkeypatch.setattr(saved_model, "write", fails)
    with pytest.raises(RuntimeError, match="on the way"):
        bundle.write_export(CONFIG, workdir, data_dir)
    assert (workdir.export / "model_card.md").read_text() == card
    assert (workdir.export / "model" / "saved_model.pb").exists()
    assert not list(workdir.root.glob(".*"))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("saved_model.pb", cut),
        ("variables/variables.data-00000-of-00001", cut),
        ("variables/variables.data-00000-of-00001", change_a_bit),
        ("variables/variables.index", cut),
    ],
)
def test_a_damaged_export_does_not_load(name, damage, workdir, tmp_path):
    """TensorFlow checks what it reads: no likelihoods of spoiled weights."""
    model = shutil.copytree(workdir.export / "model", tmp_path / "model")
    damage(model / name)
    with pytest.raises((OSError, IndexError, tf.errors.OpError)):  # of what is cut, and changed
        tf.saved_model.load(str(model))


def test_a_damaged_export_is_written_anew(workdir, data_dir):
    model = workdir.export / "model"
    cut(model / "saved_model.pb")
    bundle.write_export(CONFIG, workdir, data_dir)
    images = tf.constant(images_of(data_dir, "test"))
    told = tf.saved_model.load(str(model)).signatures["log_prob"](images=images)
    table = tables.read_score_table(workdir.score_table("fashion_mnist", "test"))
    np.testing.assert_allclose(told["log_prob"], table.log_prob, rtol=1e-5)


def test_tables_of_other_settings_are_not_current(workdir, data_dir):
    more_draws = dataclasses.replace(CONFIG.evaluate, num_draws=3)
    with pytest.raises(EvaluationError, match="--mode=evaluate"):
        bundle.write_export(dataclasses.replace(CONFIG, evaluate=more_draws), workdir, data_dir)
    other = dataclasses.replace(CONFIG, seed=1)
    with pytest.raises(UserError, match=r"config\.seed was 0, now 1"):
        bundle.write_export(other, workdir, data_dir)


def test_no_foreign_set_is_needed(workdir, data_dir, tmp_path):
    alone = open_workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    data = dataclasses.replace(CONFIG.data, out_of_distribution=())
    bundle.write_export(dataclasses.replace(CONFIG, data=data), alone, data_dir)
    assert "No foreign set was evaluated" in (alone.export / "model_card.md").read_text()


def test_the_card_has_the_rates_of_the_exported_guard(workdir, data_dir):
    table = tables.read_score_table(workdir.score_table("mnist", "test"))
    signatures = tf.saved_model.load(str(workdir.export / "model")).signatures
    images = tf.constant(images_of(data_dir, "out", "mnist"))
    share = np.mean(signatures["guard"](images=images)["is_out_of_distribution"])
    card = (workdir.export / "model_card.md").read_text()
    assert f"| MNIST | foreign | {table.num_images} | {100 * share:.1f} % (" in card


def test_the_verdict_is_that_of_the_tables(workdir, data_dir):
    """Of raw images here, and there of what evaluation wrote of them, where the graph has it."""
    sets = [("fashion_mnist", "test"), ("mnist", "out"), ("constant", "out")]
    sets.append(("fashion_mnist", "validation"))
    splits = [pipeline.open_split(*one, CONFIG.data, data_dir) for one in sets]
    paths = [workdir.score_table(split.name, split.split) for split in splits]
    *judged, held_out = map(tables.read_score_table, paths)
    guard = detectors.panel([held_out], judged, 0.4).guard
    model = tf.saved_model.load(str(workdir.export / "model"))
    for split, table in zip(splits, judged, strict=False):
        told = model.signatures["guard"](images=tf.constant(pipeline.load(split)[0]))
        check(told, verdicts(guard, table))
    assert {"complexity", "log_prob"} < set(guard.reasons)


def test_the_card_says_what_is_left_out(workdir):
    card = (workdir.export / "model_card.md").read_text()
    assert "Nothing: a graph of TensorFlow computes all that its detectors need." in card
