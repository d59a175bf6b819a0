"""Training: schedules, killed and resumed runs, what is left behind."""

import dataclasses
import json
import pathlib
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.nasty import ALL
from tests.training.small import CONFIG, OLD, command
from tfp_ood import cli, models, trajectory
from tfp_ood.config import (
    ConfigError,
    EvaluateConfig,
    RealNVPConfig,
    TrainConfig,
)
from tfp_ood.data import pipeline
from tfp_ood.errors import DataError, TrainingError, UserError
from tfp_ood.training import backups, callbacks, fit, kept, optimizers
from tfp_ood.workdir import WorkDir, open_workdir


def test_a_training_from_the_start_forgets_what_an_earlier_one_left(finished):
    """Where `rm -r model` made room for it: no curve is of two trainings, no page of another."""
    assert list(trajectory.read(finished.trajectory)) == list(range(0, 13, 2))
    assert [name for name in OLD if (finished.root / name).exists()] == []
    assert {pathlib.PurePath(name).parts[0] for name in OLD} == WorkDir.folders() - {
        *("arrays", "backup", "manifests", "model")
    }


def weights(workdir):
    return [v.numpy() for v in fit.load_trained(CONFIG, workdir).trainable_variables]


def test_a_killed_run_resumes_and_ends_with_the_same_weights(finished, data_dir, tmp_path, capsys):
    """kill -9 in the middle, then the same command again: the issue's own words."""
    workdir = open_workdir(tmp_path / ALL)
    process = subprocess.Popen(
        command(workdir, data_dir),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    # From the first backup on there is something to resume; 12 steps give five chances.
    while not list(workdir.backup.glob("chief/checkpoint")) and process.poll() is None:
        assert time.monotonic() < deadline, "no backup was written"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not fit.is_trained(workdir), "it ended before it could be killed"
    workdir.report.mkdir()
    (workdir.report / "notes.txt").touch()

    assert cli.main(command(workdir, data_dir)[1:]) == 0
    assert "resuming at step" in capsys.readouterr().out
    facts = fit.training_facts(workdir)
    assert 0 < facts["resumed_at_step"] < 12 and facts["num_steps"] == 12
    for resumed, whole in zip(weights(workdir), weights(finished), strict=True):
        np.testing.assert_allclose(resumed, whole, rtol=1e-4, atol=1e-5)
    assert not workdir.backup.exists()
    assert list(trajectory.read(workdir.trajectory)) == list(range(0, 13, 2))
    assert (workdir.report / "notes.txt").exists()


def test_another_seed_trains_other_weights(finished, data_dir, tmp_path, monkeypatch, capsys):
    """The same one trains the same: a run that was killed, above, ends with the same weights.

    And the model is handed on to stages that follow in the same process, as it was saved. A jump of
    the loss is told, and it goes on; here any change is a jump.
    """
    monkeypatch.setattr(callbacks, "_JUMP", -1.0)
    other = open_workdir(tmp_path / "other")
    config = dataclasses.replace(CONFIG, evaluate=EvaluateConfig(num_trajectory=0), seed=1)
    with kept.between_stages():
        fit.train(config, other, data_dir)
        assert "The loss jumped in epoch 2: " in capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.delattr(models, "build")
            model = fit.load_trained(config, other)
    trained = [v.numpy() for v in model.trainable_variables]
    assert any(
        np.any(np.abs(a - b) > 1e-3) for a, b in zip(trained, weights(finished), strict=True)
    )
    again = fit.load_trained(config, other)
    assert again is not model
    for ours, saved in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, saved)


def test_a_model_that_is_handed_on_has_the_weights_that_were_saved(finished, tmp_path):
    with kept.between_stages():
        model = fit.load_trained(CONFIG, finished)
        saved = [v.numpy() for v in model.variables]
        model.trainable_variables[0].assign_add(tf.ones_like(model.trainable_variables[0]))
        assert fit.load_trained(CONFIG, finished) is model
        for ours, expected in zip(model.variables, saved, strict=True):
            np.testing.assert_array_equal(ours, expected)
        copy = open_workdir(shutil.copytree(finished.root, tmp_path / "copy"))
        assert fit.load_trained(CONFIG, copy) is not model
    assert fit.load_trained(CONFIG, finished) is not model


def test_facts_and_tensorboard_are_left(finished):
    facts = fit.training_facts(finished)
    assert facts["family"] == "glow" and facts["log_prob_kind"] == "bound"
    model = fit.load_trained(CONFIG, finished)
    assert facts["num_parameters"] == model.num_parameters() > 0
    assert facts["seconds"] > 0 and np.isfinite(facts["validation_bits_per_dim"])
    written = [
        (event.step, value.tag)
        for file in sorted(finished.tensorboard.glob("*/events*"))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    tags = {tag for _, tag in written}
    assert {"epoch_bits_per_dim", "epoch_learning_rate"} <= tags


def test_damaged_weights_are_named(finished, tmp_path):
    workdir = open_workdir(shutil.copytree(finished.root, tmp_path / "damaged"))
    (data,) = workdir.model.glob("weights.data*")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"damaged.*--mode=train"):
        fit.load_trained(CONFIG, workdir)


@pytest.mark.parametrize("part", ["index", "data*"])
def test_weights_that_are_missing_are_not_called_damaged(part, finished, tmp_path):
    workdir = open_workdir(shutil.copytree(finished.root, tmp_path / "x [lr=1]"))
    fit.load_trained(CONFIG, workdir)
    for path in workdir.model.glob(f"weights.{part}"):
        path.unlink()
    with pytest.raises(TrainingError, match=r"weights .* are not complete .*--mode=train"):
        fit.load_trained(CONFIG, workdir)


def test_loading_refuses_another_config_and_an_empty_workdir(finished, tmp_path):
    config = dataclasses.replace(CONFIG, seed=5)
    with pytest.raises(UserError, match=r"config\.seed was 0, now 5"):
        fit.load_trained(config, finished)
    with pytest.raises(TrainingError, match="--mode=train"):
        fit.load_trained(CONFIG, open_workdir(tmp_path))


def test_data_that_are_not_there_are_named_before_anything_is_written(tmp_path):
    workdir = open_workdir(tmp_path / "run")
    with pytest.raises(DataError, match="--mode=prepare"):
        fit.train(CONFIG, workdir, str(tmp_path))
    assert not workdir.root.exists()


def test_learning_rate_warms_up_and_decays():
    train = TrainConfig(num_steps=100, warmup_steps=10, learning_rate=0.5)
    rate = optimizers.learning_rate(train)
    assert float(rate(0)) == 0 and float(rate(5)) == pytest.approx(0.25)
    assert float(rate(10)) == pytest.approx(0.5) and float(rate(55)) == pytest.approx(0.25)
    assert float(rate(100)) == pytest.approx(0, abs=1e-6)
    constant = optimizers.learning_rate(dataclasses.replace(train, decay="constant"))
    assert float(constant(5)) == pytest.approx(0.25) and float(constant(100)) == 0.5
    steps = optimizers.learning_rate(dataclasses.replace(train, decay="steps", warmup_steps=0))
    expected = {0: 0.5, 80: 0.5, 81: 0.5 / 3, 90: 0.5 / 3, 91: 0.5 / 9, 100: 0.5 / 9}
    assert {k: float(steps(k)) for k in expected} == pytest.approx(expected)
    at_once = optimizers.learning_rate(dataclasses.replace(train, warmup_steps=0))
    assert float(at_once(0)) == 0.5


def test_optimizer_is_the_one_of_the_config():
    for name in ("adam", "adamax"):
        optimizer = optimizers.build(TrainConfig(optimizer=name, clip_norm=3.0, ema_momentum=0.9))
        assert type(optimizer).__name__.lower() == name
        assert optimizer.global_clipnorm == 3.0 and optimizer.use_ema
    plain = optimizers.build(TrainConfig(clip_norm=0.0, ema_momentum=0.0))
    assert plain.global_clipnorm is None and not plain.use_ema


@pytest.mark.parametrize("kind", ["adam", "adamax", "rmsprop"])
@pytest.mark.parametrize("devices", [["CPU:0"], ["CPU:0", "CPU:1"]], ids=["one", "two"])
def test_the_average_of_weights_forgets_the_initial_ones(kind, devices):
    """By its momentum min(m, (1 + t) / (10 + t)), in a resumed training too."""
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(devices, reduction)
    train = TrainConfig(optimizer=kind, ema_momentum=0.4, warmup_steps=0, decay="constant")
    state, expected = None, 1000.0
    with strategy.scope():
        weight = tf.Variable(1000.0)
        for first_step in (0, 3):  # a process, and the one that goes on
            optimizer = optimizers.build(train)
            optimizer.build([weight])
            for variable, value in zip(optimizer.variables, state or (), strict=False):
                variable.assign(value)

            def apply(optimizer=optimizer):
                optimizer.apply_gradients([(tf.constant(1.0), weight)])

            step = tf.function(lambda apply=apply: strategy.run(apply))
            for number in range(first_step, 3 * first_step + 3):
                step()
                momentum = min(0.4, (1 + number) / (10 + number))
                expected = momentum * expected + (1 - momentum) * weight.numpy()
            state = [variable.numpy() for variable in optimizer.variables]
    (average,) = optimizer._model_variables_moving_average
    assert int(optimizer.iterations.numpy()) == 12
    assert average.numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("decay", "strategy"), [("constant", "single"), ("steps", "single"), ("steps", "mirrored")]
)
def test_moments_are_saved_of_the_weights_that_are_saved(decay, strategy, data_dir, tmp_path):
    model = RealNVPConfig(num_levels=1, num_couplings=2, num_blocks=1, num_hidden=4)
    model = dataclasses.replace(model, normalization="batch_norm")
    train = dataclasses.replace(
        CONFIG.train,
        num_steps=4,
        decay=decay,
        warmup_steps=0,
        learning_rate=1e-2,
        ema_momentum=0.999,
        strategy=strategy,
    )
    alone = EvaluateConfig(num_trajectory=0)
    config = dataclasses.replace(CONFIG, model=model, train=train, evaluate=alone)
    workdir = open_workdir(tmp_path / "run")
    fit.train(config, workdir, data_dir)
    loaded = fit.load_trained(config, workdir)
    saved = [variable.numpy() for variable in loaded.moments]
    split = pipeline.open_split("fashion_mnist", "train", CONFIG.data, data_dir)
    first = pipeline.training_stream(split, 8, 0, 0).map(lambda batch: batch["image"]).take(64)
    loaded.estimate_moments(np.concatenate(list(first.as_numpy_iterator())))
    assert len(saved) == 2 * 4
    for before, after in zip(saved, loaded.moments, strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("asked", [True, False])
def test_determinism_is_asked_of_tensorflow_before_the_training(
    asked, monkeypatch, data_dir, tmp_path
):
    """For the whole process, so that tests only look whether it is asked for."""
    calls = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: calls.append("determinism")
    )

    def build(config):
        calls.append("model")
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "build", build)
    train = dataclasses.replace(CONFIG.train, deterministic=asked)
    with pytest.raises(KeyboardInterrupt):
        fit.train(
            dataclasses.replace(CONFIG, train=train), open_workdir(tmp_path / "run"), data_dir
        )
    assert calls == ["determinism"] * asked + ["model"]


def test_weights_that_spoil_the_validation_are_not_backed_up(monkeypatch, tmp_path, data_dir):
    end, workdir = callbacks.StopOnNonFinite.on_epoch_end, open_workdir(tmp_path / "run")

    def spoiled(self, epoch, logs):
        end(self, epoch, {**logs, "val_bits_per_dim": float("nan")} if epoch == 2 else logs)

    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_epoch_end", spoiled)
    with pytest.raises(TrainingError, match=r"validation became nan .* epoch 3"):
        fit.train(CONFIG, workdir, data_dir)
    assert backups.saved_step(workdir) == 2 * CONFIG.train.steps_per_epoch
    monkeypatch.undo()
    fit.train(CONFIG, workdir, data_dir)  # from there
    assert fit.training_facts(workdir)["num_steps"] == CONFIG.train.num_steps


def test_what_is_trained_on_is_mutated_and_held_as_the_config_says(monkeypatch, tmp_path, data_dir):
    """For every seed in another way."""
    asked, hold, mutate = [], pipeline.hold, fit.mutated
    monkeypatch.setattr(pipeline, "hold", lambda *given: asked.append(given[1]) or hold(*given))
    monkeypatch.setattr(fit, "mutated", lambda *given: asked.append(given[1:]) or mutate(*given))
    train = dataclasses.replace(CONFIG.train, mutation_rate=0.3, memory_limit=12_345)
    config = dataclasses.replace(CONFIG, train=train, seed=5)
    fit.train(config, open_workdir(tmp_path / "run"), data_dir)
    assert asked[0] == 12_345 and {*asked[1:]} == {(0.3, 5, 0)}


def test_config_is_recorded(finished):
    assert json.loads(finished.config.read_text())["model"]["num_hidden"] == 4


@pytest.mark.parametrize(
    ("name", "num_classes", "said"),
    [("fashion_mnist", 5, "at least 10, the classes of fashion_mnist"), ("noise", 3, "has no cl")],
)
def test_classes_that_do_not_fit_the_images_are_refused(
    name, num_classes, said, tmp_path, data_dir
):
    data = dataclasses.replace(CONFIG.data, in_distribution=name)
    model = dataclasses.replace(CONFIG.model, num_classes=num_classes)
    workdir = open_workdir(tmp_path / "run")
    with pytest.raises(ConfigError, match=rf"model\.num_classes: got {num_classes}.*{said}"):
        fit.train(dataclasses.replace(CONFIG, data=data, model=model), workdir, data_dir)
    assert not workdir.root.exists()


def test_a_damaged_record_of_the_training_is_named(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.model.mkdir()
    (workdir.model / "training.json").write_text("x")
    with pytest.raises(TrainingError, match=r"training\.json is damaged"):
        fit.training_facts(workdir)
