"""Training of any family: one Keras `fit`, resumed where it was killed."""

import dataclasses
import functools
import json
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Hashable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import atomic, devices, models, paths, signals
from tfp_ood.config import Config, ConfigError, TrainConfig
from tfp_ood.data import manifest, pipeline
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.training import backups, cluster, kept, optimizers
from tfp_ood.training.callbacks import (
    SayWhenLossJumps,
    StopOnNonFinite,
    StopWhenAsked,
    ValidateWithAverage,
)
from tfp_ood.training.mutation import mutated
from tfp_ood.training.strategy import connect, distribute, errors_named
from tfp_ood.training.tensorboard import dashboard
from tfp_ood.training.trajectory import Judge, ScoreTrajectory
from tfp_ood.training.weights import read_facts, read_weights, write_weights
from tfp_ood.workdir import WorkDir

_NUM_INIT_IMAGES = 512
"""From 128 a training starts two seconds sooner, and is worse after 1,000 steps (docs/speed.md)."""
_NUM_SHOWN = 16  # images in TensorBoard
_WEIGHTS = "weights"
_FACTS = "training.json"


def is_trained(workdir: WorkDir) -> bool:
    """Whether a training has ended here."""
    return (workdir.model / _FACTS).exists()


def training_facts(workdir: WorkDir) -> dict[str, Any]:
    """What is known of the trained model: family, num_parameters, log_prob_kind, steps, seconds
    (of the last process, where others were killed before).

    Raises:
      TrainingError: no training has ended here, or its record is damaged.
    """
    if not is_trained(workdir):
        raise TrainingError(f"{workdir.root} holds no trained model; run --mode=train first.")
    return read_facts(workdir.model / _FACTS)


@dataclasses.dataclass(frozen=True)
class _Job:
    """What every part of one training needs to know."""

    config: Config
    workdir: WorkDir
    strategy: tf.distribute.Strategy
    process: cluster.Cluster
    train_images: pipeline.Split | pipeline.Held
    validation: pipeline.Split
    sets: list[pipeline.Split]
    """To be scored on the way (`ScoreTrajectory`)."""
    judge: Judge | None

    @functools.cached_property
    def first_images(self) -> np.ndarray:
        """About 512 images of the training set, for what is set from data and not by steps."""
        stream = _training_stream(self, 0, pipeline.Shard()).map(lambda batch: batch["image"])
        return next(stream.unbatch().batch(_NUM_INIT_IMAGES).take(1).as_numpy_iterator())


def train(
    config: Config, workdir: WorkDir, data_dir: str | None, judge: Judge | None = None
) -> None:
    """Trains the config's model, from where an earlier call was killed if there was one.

    Leaves the weights (their moving average, if there is one) in `workdir.model`. The noise and
    the order of images depend on the seed and the step only, so that a resumed training ends with
    the weights of one that was never killed; but where it goes on with images in memory that were
    read from disk before, or the other way round (`train.memory_limit`), their order is another.
    Several workers (`cluster`) call this together, with one work directory that all of them see;
    the chief alone leaves anything in it.

    Args:
      config: what to train.
      workdir: where to.
      data_dir: of TFDS.
      judge: of the sets that are scored on the way; None for likelihood alone.

    Raises:
      ConfigError: a class-conditional model and images of other classes; a batch that does not
        divide by the devices.
      DataError: the images are not there or do not fit.
      TrainingError: the loss is not a number any more, or the backup is damaged.
      UserError: `workdir` belongs to another config or cannot be written.
      WorkerLostError: another worker is gone; the last backup is whole.
      signals.Stopped: the process got SIGINT or SIGTERM; the same call goes on.
    """
    strategy = connect(config)  # first: it may have to precede TensorFlow's first operation
    if config.train.deterministic:
        devices.be_deterministic()
    data, name = config.data, config.data.in_distribution
    train_split = pipeline.open_split(name, "train", data, data_dir)
    validation = pipeline.open_split(name, "validation", data, data_dir)
    # Foreign images that do not fit must be known before hours of training, not after.
    sets = pipeline.open_sets(data, data_dir)
    _check_labels(config, train_split)
    process = cluster.of(config)
    if process.is_chief:
        workdir.claim(config, train_split.version)
        manifest.write_waiting()
    held = pipeline.hold(train_split, config.train.memory_limit)
    job = _Job(config, workdir, strategy, process, held, validation, sets, judge)
    with errors_named(strategy), strategy.scope():
        _train(job)


def _train(job: _Job) -> None:
    """Trains, under the strategy's scope."""
    config, train = job.config, job.config.train
    model = models.build(config)
    first_step = backups.saved_step(job.workdir)
    if first_step:
        backups.check(job.workdir, model)
        print(f"resuming at step {first_step} of {train.num_steps}", flush=True)
    else:
        if job.process.is_chief:
            job.workdir.forget_training()
        model.initialize(job.first_images)
    model.compile(optimizer=optimizers.build(train), jit_compile=use_xla(train))
    start = time.monotonic()
    with signals.deferred():
        history = _fit(job, model, first_step)
        # At its end Keras puts the average of the weights, if there is one, in their place.
        model.estimate_moments(job.first_images)
        seconds = time.monotonic() - start
        num_images = (train.num_steps - first_step) * train.batch_size
        facts = {
            "family": config.model.family,
            "num_parameters": model.num_parameters(),
            "log_prob_kind": model.log_prob_kind,
            "num_steps": train.num_steps,
            "resumed_at_step": first_step,
            "num_replicas": job.strategy.num_replicas_in_sync,
            "seconds": round(seconds, 1),
            # Of this process alone; of none of its steps where a kill left nothing but the saving.
            "images_per_second": round(num_images / seconds, 1) or None,
            "validation_bits_per_dim": history.get("val_bits_per_dim", [None])[-1],
        }
        _save(job, model, facts)
    kept.put(_key(job.workdir), model)


def _fit(job: _Job, model: models.LikelihoodModel, first_step: int) -> dict[str, list[float]]:
    """Runs the remaining steps; returns the history of the last call of Keras."""
    steps_per_epoch, num_epochs = _epochs(job.config.train)
    epoch, done = divmod(first_step, steps_per_epoch)
    # What is left of an epoch that a signal broke off is one of its own: Keras counts in epochs.
    if done:
        history = _fit_epochs(job, model, first_step, epoch + 1, steps_per_epoch - done)
        epoch, first_step = epoch + 1, first_step + steps_per_epoch - done
        if epoch == num_epochs:
            return history
    return _fit_epochs(job, model, first_step, num_epochs, steps_per_epoch)


def _fit_epochs(
    job: _Job, model: models.LikelihoodModel, first_step: int, end: int, num_steps: int
) -> dict[str, list[float]]:
    """Runs epochs of `num_steps` each, from the backup, if there is one, to epoch `end`."""
    each = -(-job.config.scoring_batch_size // job.strategy.num_replicas_in_sync)
    return model.fit(
        distribute(job.strategy, lambda shard: _training_stream(job, first_step, shard)),
        epochs=end,
        steps_per_epoch=num_steps,
        validation_data=distribute(
            job.strategy, lambda shard: pipeline.scoring_batches(job.validation, each, shard)
        ),
        # Of several replicas some may be out of images in the last step: they get none.
        validation_steps=_num_validations(job, each),
        callbacks=_callbacks(job, bool(first_step)),
        verbose=(1 if sys.stdout.isatty() else 2) if job.process.is_chief else 0,
    ).history


def _training_stream(job: _Job, first_step: int, shard: pipeline.Shard) -> tf.data.Dataset:
    train, seed = job.config.train, job.config.seed
    batches = pipeline.training_stream(job.train_images, train.batch_size, seed, first_step, shard)
    if not train.mutation_rate:
        return batches
    # Other noise for every worker; a shard's batches come one for each of its replicas.
    each = shard.num_replicas // shard.count
    made = mutated(batches, train.mutation_rate, seed + shard.index, first_step * each)
    infinite = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return made.apply(infinite) if shard.num_replicas > 1 else made


def _num_validations(job: _Job, batch_size: int) -> int | None:
    """Steps of a validation in batches of that size for every replica; None to let Keras see."""
    num_replicas, num_workers = job.strategy.num_replicas_in_sync, job.process.num_workers
    if num_replicas == 1:
        return None
    num_images = -(-job.validation.num_images // num_workers)  # of the first, who has most
    return -(-num_images // (batch_size * (num_replicas // num_workers)))


def load_trained(config: Config, workdir: WorkDir) -> models.LikelihoodModel:
    """The model that `train` left in the work directory.

    Raises:
      UserError: it was trained with another config.
      TrainingError: there is none, or its files are damaged.
    """
    workdir.check(config)
    training_facts(workdir)
    key = _key(workdir)
    model = kept.get(key) or models.build(config)
    read_weights(model, workdir.model / _WEIGHTS)
    kept.put(key, model)
    return model


def _key(workdir: WorkDir) -> Hashable:
    """Of the model trained here; None for a strategy's, which would stay on all of its devices."""
    return None if tf.distribute.has_strategy() else (workdir.root, workdir.weights)


def _check_labels(config: Config, split: pipeline.Split) -> None:
    """Refuses images without classes, or with more, for models that are conditioned on them.

    Raises:
      ConfigError: names the classes that there are.
    """
    num_classes = config.model.num_classes
    if not num_classes:
        return
    labels = pipeline.labels(split)
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0:
        raise ConfigError("model.num_classes", num_classes, f"0: {split.name} has no classes")
    if high >= num_classes:
        valid = f"at least {high + 1}, the classes of {split.name}, or 0"
        raise ConfigError("model.num_classes", num_classes, valid)


def _epochs(train: TrainConfig) -> tuple[int, int]:
    """Steps per epoch and epochs: an epoch is what lies between two validations."""
    steps_per_epoch = min(train.steps_per_epoch, train.num_steps)
    return steps_per_epoch, train.num_steps // steps_per_epoch


def use_xla(train: TrainConfig) -> bool:
    """On CPUs XLA makes a small network's step somewhat faster and a large one's much slower."""
    if train.xla == "auto":
        return bool(tf.config.list_logical_devices("GPU"))
    return train.xla == "on"


def _callbacks(job: _Job, resumed: bool) -> list[keras.callbacks.Callback]:
    config, is_chief, images = job.config, job.process.is_chief, job.first_images
    # Deleted by `_save`, only once the weights are safe.
    folder = paths.for_tensorflow(job.workdir.backup)
    backup = keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    shown = next(iter(pipeline.scoring_batches(job.validation, _NUM_SHOWN)))["image"]
    scoring = []
    if config.evaluate.num_trajectory:
        scoring = [
            ScoreTrajectory(
                config, job.workdir, job.sets, job.validation, images, job.judge, resumed, is_chief
            )
        ]
    return [
        *scoring,
        ValidateWithAverage(images),
        StopOnNonFinite(config.train),
        *([SayWhenLossJumps(config.train)] if is_chief else []),
        *dashboard(config, job.workdir, shown, is_chief),
        backup,
        StopWhenAsked(backup if job.process.num_workers == 1 else None, _epochs(config.train)[0]),
    ]


def _save(job: _Job, model: models.LikelihoodModel, facts: dict[str, Any]) -> None:
    if not job.process.is_chief:
        # What is spread over the workers is read by all of them together.
        with tempfile.TemporaryDirectory() as folder:
            write_weights(model, pathlib.Path(folder) / _WEIGHTS)
        return
    with atomic.replacing_folder(job.workdir.model) as folder:
        write_weights(model, folder / _WEIGHTS)
        (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(job.workdir.backup)
