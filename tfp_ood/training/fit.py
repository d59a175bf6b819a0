"""Training of any family: one Keras `fit`, resumed where it was killed."""

import json
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import files, models
from tfp_ood.config import Config, ConfigError, TrainConfig
from tfp_ood.data import pipeline
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.training.callbacks import StopOnNonFinite, ValidateWithAverage
from tfp_ood.training.tensorboard import dashboard
from tfp_ood.training.watch import WatchSets
from tfp_ood.training.weights import read_facts, read_weights
from tfp_ood.workdir import WorkDir

_NUM_INIT_IMAGES = 512
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


def train(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Trains the config's model, from where an earlier call was killed if there was one.

    Leaves the weights (their moving average, if there is one) in `workdir.model`. The noise and
    the order of images depend on the seed and the step only, so that a resumed training ends with
    the weights of one that was never killed.

    Args:
      config: what to train.
      workdir: where to.
      data_dir: of TFDS.

    Raises:
      ConfigError: a class-conditional model and images of other classes.
      DataError: the images are not there or do not fit.
      TrainingError: the loss is not a number any more, or the backup is damaged.
      UserError: `workdir` belongs to another config or cannot be written.
    """
    train_split = pipeline.open_split(config.data.in_distribution, "train", config.data, data_dir)
    validation = pipeline.open_split(
        config.data.in_distribution, "validation", config.data, data_dir
    )
    # Foreign images that do not fit must be known before hours of training, not after.
    sets = pipeline.open_sets(config.data, data_dir)
    _check_labels(config, train_split)
    workdir.claim(config, train_split.version)
    model = models.build(config)
    steps_per_epoch, num_epochs = _epochs(config.train)
    first_epoch = _saved_epoch(workdir)
    batches = pipeline.training_stream(
        train_split, config.train.batch_size, config.seed, first_epoch * steps_per_epoch
    )
    if first_epoch:
        print(f"resuming at step {first_epoch * steps_per_epoch} of {config.train.num_steps}")
    else:
        model.initialize(_first_images(batches))
    model.compile(optimizer=_optimizer(config.train), jit_compile=_use_xla(config.train))
    start = time.monotonic()
    history = model.fit(
        batches,
        epochs=num_epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=pipeline.scoring_batches(validation, config.evaluate.batch_size),
        callbacks=[
            *_watch(config, workdir, sets, bool(first_epoch)),
            ValidateWithAverage(),
            StopOnNonFinite(),
            *dashboard(config, workdir, _first_of(validation)),
            # Deleted by `_save`, only once the weights are safe.
            keras.callbacks.BackupAndRestore(str(workdir.backup), delete_checkpoint=False),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    facts = _facts(config, model, history.history, first_epoch, time.monotonic() - start)
    _save(model, workdir, facts)


def load_trained(config: Config, workdir: WorkDir) -> models.LikelihoodModel:
    """The model that `train` left in the work directory.

    Raises:
      UserError: it was trained with another config.
      TrainingError: there is none, or its files are damaged.
    """
    workdir.check(config)
    training_facts(workdir)
    model = models.build(config)
    read_weights(model, workdir.model / _WEIGHTS)
    return model


def _check_labels(config: Config, split: pipeline.Split) -> None:
    """Refuses images without classes, or with more, for models that are conditioned on them.

    Raises:
      ConfigError: names the classes that there are.
    """
    num_classes = getattr(config.model, "num_classes", 0)
    if not num_classes:
        return
    _, labels = pipeline.load(split)
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


def _saved_epoch(workdir: WorkDir) -> int:
    """Number of epochs that the backup of a killed training holds; 0 without a backup."""
    checkpoint = tf.train.latest_checkpoint(workdir.backup / "chief")
    if checkpoint is None:
        return 0
    # What BackupAndRestore will start from; the batches must start there too.
    name = "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE"
    try:
        return int(tf.train.load_variable(checkpoint, name)) + 1
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"The backup {checkpoint} is damaged ({type(error).__name__}). "
            f"Delete {workdir.backup} and run the same command: training starts over."
        ) from error


def _first_images(batches: tf.data.Dataset) -> np.ndarray:
    """About 512 images of the training set, for initialisation."""
    images = batches.map(lambda batch: batch["image"]).unbatch().batch(_NUM_INIT_IMAGES)
    return next(images.take(1).as_numpy_iterator())


def _optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamax": keras.optimizers.Adamax,
        "rmsprop": keras.optimizers.RMSprop,
    }
    return kinds[train.optimizer](
        learning_rate=_learning_rate(train),
        global_clipnorm=train.clip_norm or None,
        use_ema=train.ema_momentum > 0,
        ema_momentum=train.ema_momentum,
    )


def _learning_rate(train: TrainConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    if train.decay == "steps":
        ends = [int(share * train.num_steps) for share in (0.8, 0.9)]
        rates = [train.learning_rate / 3**k for k in range(3)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if train.warmup_steps else train.learning_rate,
        decay_steps=train.num_steps - train.warmup_steps,
        # The share that is left at the end: all of it makes a constant.
        alpha=1.0 if train.decay == "constant" else 0.0,
        warmup_target=train.learning_rate if train.warmup_steps else None,
        warmup_steps=train.warmup_steps,
    )


def _use_xla(train: TrainConfig) -> bool:
    """On CPUs XLA makes a small network's step somewhat faster and a large one's much slower."""
    if train.xla == "auto":
        return bool(tf.config.list_logical_devices("GPU"))
    return train.xla == "on"


def _watch(
    config: Config, workdir: WorkDir, sets: list[pipeline.Split], resumed: bool
) -> list[WatchSets]:
    return [WatchSets(config, workdir, sets, resumed)] if config.evaluate.num_watched else []


def _first_of(split: pipeline.Split) -> tf.Tensor:
    """The first images of a set, uint8 `[N, H, W, C]`."""
    return next(iter(pipeline.scoring_batches(split, _NUM_SHOWN)))["image"]


def _facts(
    config: Config,
    model: models.LikelihoodModel,
    history: dict[str, list[float]],
    first_epoch: int,
    seconds: float,
) -> dict[str, Any]:
    steps_per_epoch, num_epochs = _epochs(config.train)
    num_steps = (num_epochs - first_epoch) * steps_per_epoch
    return {
        "family": config.model.family,
        "num_parameters": model.num_parameters(),
        "log_prob_kind": model.log_prob_kind,
        "num_steps": num_epochs * steps_per_epoch,
        "resumed_at_step": first_epoch * steps_per_epoch,
        "seconds": round(seconds, 1),
        # Of this process alone; of none of its steps where a kill left nothing but the saving.
        "images_per_second": round(num_steps * config.train.batch_size / seconds, 1) or None,
        "validation_bits_per_dim": history.get("val_bits_per_dim", [None])[-1],
    }


def _save(model: models.LikelihoodModel, workdir: WorkDir, facts: dict[str, Any]) -> None:
    with files.replacing_folder(workdir.model) as folder:
        model.save_weights(folder / _WEIGHTS)
        (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
    tf.io.gfile.rmtree(str(workdir.backup))
