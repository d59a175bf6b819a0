"""Training on several devices and in several processes, killed and stopped ones too."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.data import tiny
from tests.nasty import ALL
from tests.training.small import CONFIG, command
from tfp_ood import signals, trajectory
from tfp_ood.config import ConfigError, EvaluateConfig
from tfp_ood.data import pipeline
from tfp_ood.evaluation import evaluate
from tfp_ood.keras import keras
from tfp_ood.training import fit, strategy
from tfp_ood.workdir import open_workdir

_DEADLINE = 600  # seconds; of a machine that others use too


def changed(config=CONFIG, **train):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def weights(workdir, config=CONFIG):
    return [v.numpy() for v in fit.load_trained(config, workdir).trainable_variables]


def assert_alike(workdir, finished, config=CONFIG, other=None):
    """The same but for noise, which every device draws for itself.

    `other` is the config of what was finished, where it is another.
    """
    ours, theirs = (fit.training_facts(w)["validation_bits_per_dim"] for w in (workdir, finished))
    assert ours == pytest.approx(theirs, abs=0.02)
    # As far as Adam may have gone another way.
    limit = 0.5 * config.train.num_steps * config.train.learning_rate
    for a, b in zip(weights(workdir, config), weights(finished, other or config), strict=True):
        np.testing.assert_allclose(a, b, atol=limit)


@pytest.mark.parametrize("limit", [0.0, 1e-9], ids=["memory", "disk"])
def test_shards_of_the_stream_make_up_its_batches(limit, data_dir):
    split = pipeline.open_split("fashion_mnist", "train", CONFIG.data, data_dir)
    split = pipeline.hold(split, limit)
    whole = pipeline.training_stream(split, 8, 3, 2).take(5)
    parts = [
        pipeline.training_stream(split, 8, 3, 2, pipeline.Shard(i, 2, 4)).take(10) for i in (0, 1)
    ]
    assert all(part.cardinality() == 10 for part in parts)  # that of an endless stream, cut
    streams = [list(part.as_numpy_iterator()) for part in parts]
    for step, batch in enumerate(whole.as_numpy_iterator()):
        shares = [b["image"] for stream in streams for b in stream[2 * step : 2 * step + 2]]
        assert [len(share) for share in shares] == [2] * 4
        together = np.concatenate(shares)
        assert sorted(map(bytes, together)) == sorted(map(bytes, batch["image"]))


def test_every_image_is_scored_in_one_shard(data_dir):
    split = pipeline.open_split("fashion_mnist", "test", CONFIG.data, data_dir)
    whole = next(pipeline.scoring_batches(split, 100).as_numpy_iterator())
    found = []
    for index in range(2):
        for batch in pipeline.scoring_batches(split, 3, pipeline.Shard(index, 2, 2)):
            np.testing.assert_array_equal(batch["image"], whole["image"][batch["index"]])
            found += batch["index"].numpy().tolist()
    assert sorted(found) == list(range(tiny.NUM_TEST))


@pytest.mark.slow
@pytest.mark.parametrize("xla", ["off", "on"])
def test_two_devices_train_what_one_does(xla, finished, data_dir, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    config = dataclasses.replace(
        CONFIG, evaluate=dataclasses.replace(CONFIG.evaluate, batch_size=3)
    )
    # Of 4 images for validation, in threes for two devices, the last step has none for one.
    fit.train(changed(config, strategy="mirrored", xla=xla), workdir, data_dir)
    assert fit.training_facts(workdir)["num_replicas"] == 2
    assert_alike(workdir, finished, changed(xla=xla), CONFIG)
    assert list(trajectory.read(workdir.trajectory)) == list(range(0, 13, 2))


def test_validation_on_two_devices_counts_every_image_once(finished, data_dir):
    """The learned weights and no noise of a step: equal to rounding."""
    split = pipeline.open_split("fashion_mnist", "test", CONFIG.data, data_dir)
    model = fit.load_trained(CONFIG, finished)
    model.compile()
    expected = model.evaluate(pipeline.scoring_batches(split, 7), verbose=0)
    two = fit.connect(changed(strategy="mirrored"))
    with two.scope():
        copies = fit.load_trained(CONFIG, finished)
        copies.compile()
    parts = fit.distribute(two, lambda shard: pipeline.scoring_batches(split, 2, shard))
    assert copies.evaluate(parts, steps=2, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_one_device_needs_no_strategy():
    """So that batches are computed in halves."""
    assert fit.connect(CONFIG) is tf.distribute.get_strategy()


def test_what_two_devices_cannot_share_is_refused(data_dir, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    config = changed(strategy="mirrored", batch_size=7)
    with pytest.raises(ConfigError, match=r"train\.batch_size: got 7; valid is a multiple of 2"):
        fit.train(config, workdir, data_dir)
    assert not workdir.root.exists()


def test_scores_are_the_same_on_two_devices(finished, data_dir, tmp_path):
    """Of every image, in order, when they do not divide; and so are gradients of each image."""
    found = {}
    for kind in ("single", "mirrored"):
        config = dataclasses.replace(
            changed(strategy=kind), evaluate=EvaluateConfig(batch_size=3, gradients=True)
        )
        assert strategy.of_scoring(config).num_replicas_in_sync == 1 + (kind == "mirrored")
        workdir = open_workdir(shutil.copytree(finished.root, tmp_path / kind))
        evaluate.evaluate(config, workdir, data_dir)
        found[kind], _ = evaluate.current_tables(config, workdir, data_dir)
    for one, two in zip(*found.values(), strict=True):
        assert len(one.log_prob) == 7  # batches of 3, 3 and 1
        np.testing.assert_array_equal(two.index, one.index)
        assert set(two.statistics) == set(one.statistics)
        for name, values in one.statistics.items():
            np.testing.assert_allclose(
                two.statistics[name], values, rtol=1e-3, atol=1e-3, err_msg=name
            )


def test_one_process_scores_on_all_that_it_has():
    one = strategy.of_scoring(changed(strategy="single"))
    assert one is strategy.of_scoring(CONFIG) is tf.distribute.get_strategy()  # no GPUs here
    score = object()
    assert strategy.spread(one, score) is score


class SendSignal(keras.callbacks.Callback):
    """SIGTERM to this process, before a step is made."""

    def __init__(self, step):
        super().__init__()
        self._step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self._step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("before", "stopped_at"),
    [
        pytest.param(1, 2, marks=pytest.mark.slow),
        (5, 6),
        pytest.param(7, 8, marks=pytest.mark.slow),
        pytest.param(10, 11, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_at_its_very_step(
    before, stopped_at, finished, data_dir, tmp_path, monkeypatch
):
    """Epochs of 4 steps: in the middle of the first, of another and the last, and at an end."""
    workdir, config = open_workdir(tmp_path / ALL), changed(steps_per_epoch=4)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "dashboard", lambda *args: [SendSignal(before)])
        stops = pytest.raises(signals.Stopped, match=f"at step {stopped_at}")
        with stops as stopped, signals.handled():
            fit.train(config, workdir, data_dir)
    assert stopped.value.exit_code == 143 and not fit.is_trained(workdir)
    fit.train(config, workdir, data_dir)
    assert fit.training_facts(workdir)["resumed_at_step"] == stopped_at
    for resumed, whole in zip(weights(workdir, config), weights(finished), strict=True):
        np.testing.assert_allclose(resumed, whole, rtol=1e-4, atol=1e-5)
    assert list(trajectory.read(workdir.trajectory)) == [0, 4, 8, 12]
    assert not workdir.backup.exists()


class Run:
    """A real process that trains CONFIG, with changes."""

    def __init__(self, workdir, data_dir, *flags, tf_config=None, log="log"):
        environment = {**os.environ, "TF_CONFIG": tf_config or ""}
        self.log = pathlib.Path(f"{workdir.root}.{log}")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*command(workdir, data_dir), *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # A shell's background ignores SIGINT, and so would what it starts.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def end(self):
        """The exit code."""
        return self.process.wait(timeout=_DEADLINE)

    def text(self):
        return self.log.read_text()


@pytest.fixture(name="start")
def _start(data_dir):
    """Starts `Run`s, and ends those that are left."""
    started = []

    def start(workdir, *flags, **kwargs):
        started.append(Run(workdir, data_dir, *flags, **kwargs))
        return started[-1]

    yield start
    for run in started:
        run.process.kill()
        run.process.wait()


@pytest.fixture(name="start_two")
def _start_two(start):
    """Starts both workers of a training."""

    def start_two(workdir, *flags, part=0):
        with socket.socket() as a, socket.socket() as b:
            for one in (a, b):
                one.bind(("localhost", 0))
            workers = [f"localhost:{one.getsockname()[1]}" for one in (a, b)]
        texts = [
            json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}})
            for i in (0, 1)
        ]
        return [
            start(workdir, *flags, tf_config=text, log=f"{part}.worker{i}")
            for i, text in enumerate(texts)
        ]

    return start_two


def wait_for_backup(workdir, runs):
    deadline = time.monotonic() + _DEADLINE
    while not list(workdir.backup.glob("chief/checkpoint")):
        assert time.monotonic() < deadline, "no backup was written"
        for run in runs:
            assert run.process.poll() is None, run.text()
        time.sleep(0.01)


LONG = {"num_steps": 40, "steps_per_epoch": 10}
LONG_FLAGS = [f"--config.train.{key}={value}" for key, value in LONG.items()]
LONG_FLAGS.append("--config.evaluate.num_trajectory=0")


@pytest.mark.slow
def test_two_workers_train_what_one_does(finished, start_two, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    runs = start_two(workdir)
    for run in runs:
        assert run.end() == 0, run.text()
    assert fit.training_facts(workdir)["num_replicas"] == 2
    assert_alike(workdir, finished)
    assert list(trajectory.read(workdir.trajectory)) == list(range(0, 13, 2))
    left = {str(path.relative_to(workdir.root)) for path in workdir.root.rglob("*")}
    assert not any("workertemp" in name or ".tmp" in name for name in left)
    assert not left & {".lock", "backup"}
    assert len(list(workdir.tensorboard.glob("train/events*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_workers_go_on_after_one_was_killed(victim, start_two, data_dir, tmp_path):
    workdir, whole = open_workdir(tmp_path / "run"), open_workdir(tmp_path / "whole")
    runs = start_two(workdir, *LONG_FLAGS)
    wait_for_backup(workdir, runs)
    runs[victim].process.kill()
    runs[victim].process.wait()
    assert runs[1 - victim].end() == 75, runs[1 - victim].text()
    said = "tfp_ood: another worker is gone (UnavailableError). Start the same command on all"
    assert said in runs[1 - victim].text()
    assert not fit.is_trained(workdir)

    again = start_two(workdir, *LONG_FLAGS, part=1)
    for run in again:
        assert run.end() == 0, run.text()
        assert "resuming at step" in run.text()
    facts = fit.training_facts(workdir)
    assert 0 < facts["resumed_at_step"] < LONG["num_steps"] and facts["resumed_at_step"] % 10 == 0
    config = changed(**LONG)
    fit.train(config, whole, data_dir)
    assert_alike(workdir, whole, config)


@pytest.mark.slow
def test_a_worker_that_waits_for_others_can_be_interrupted(start, tmp_path):
    text = json.dumps(
        {
            "cluster": {"worker": ["localhost:1", "localhost:2"]},
            "task": {"type": "worker", "index": 1},
        }
    )
    run = start(open_workdir(tmp_path / "run"), tf_config=text)
    deadline = time.monotonic() + _DEADLINE
    while "worker 1 of 2: waiting" not in run.text():
        assert time.monotonic() < deadline and run.process.poll() is None, run.text()
        time.sleep(0.05)
    time.sleep(2)
    # Not SIGTERM, of which TensorFlow takes note for itself while it waits.
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=60) == -signal.SIGINT
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_workers_that_are_stopped_go_on_alone_from_the_last_backup(start, start_two, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    runs = start_two(workdir, *LONG_FLAGS)
    wait_for_backup(workdir, runs)
    for run in runs:
        run.process.send_signal(signal.SIGTERM)
    for run in runs:
        assert run.end() == 143, run.text()
        assert "stopped by SIGTERM; the same command goes on" in run.text()
    alone = start(workdir, *LONG_FLAGS)  # another strategy: the weights are the same
    assert alone.end() == 0, alone.text()
    facts = fit.training_facts(workdir)
    assert facts["resumed_at_step"] % 10 == 0 < facts["resumed_at_step"]
    assert facts["num_replicas"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_real_run_and_the_same_command_goes_on(number, code, start, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    flags = ["--config.train.num_steps=4000", "--config.train.steps_per_epoch=2000"]
    flags.append("--config.evaluate.num_trajectory=0")
    run = start(workdir, *flags)
    deadline = time.monotonic() + _DEADLINE
    while "Epoch 1/2" not in run.text():  # printed before the first step is traced
        assert time.monotonic() < deadline and run.process.poll() is None, run.text()
        time.sleep(0.05)
    second = start(workdir, *flags, log="second")
    assert second.end() == 2
    said = f"in use by another run: process {run.process.pid} on {socket.gethostname()}, since 20"
    assert said in second.text()
    run.process.send_signal(number)
    assert run.end() == code, run.text()
    name = signal.Signals(number).name
    (line,) = [line for line in run.text().splitlines() if "stopped by" in line]
    said, _, step = line.rpartition(" at step ")
    assert said == f"tfp_ood: stopped by {name}; the same command goes on"
    step = int(step.rstrip("."))
    assert 0 < step < 2000
    assert not (workdir.root / ".lock").exists()

    again = start(workdir, *flags, log="again")
    while "Epoch" not in again.text():
        assert time.monotonic() < deadline + _DEADLINE and again.process.poll() is None
        time.sleep(0.05)
    assert f"resuming at step {step} of 4000" in again.text()
