"""Keras callbacks of the training loop."""

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import signals
from tfp_ood.config import TrainConfig
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.models import LikelihoodModel

_JUMP = 0.05
"""The share by which an epoch's validation may be above that of the one before."""


def steps_done(model: keras.Model) -> int:
    """Steps of the optimizer, of all processes that trained the model."""
    return int(tf.convert_to_tensor(model.optimizer.iterations))  # mirrored ones know no int()


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends the training with advice when the loss is no longer a number.

    Args:
      train: what the advice is to change.
    """

    def __init__(self, train: TrainConfig):
        super().__init__()
        self._train = train

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the running mean of bits/dim, which a single NaN spoils for good."""
        value = float((logs or {})["bits_per_dim"])
        if not math.isfinite(value):
            self._stop(f"loss became {value} at step {steps_done(self.model)}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the validation too, before the backup: the last step's weights spoil only it."""
        value = float((logs or {}).get("val_bits_per_dim", 0.0))
        if not math.isfinite(value):
            self._stop(f"validation became {value} bits/dim after epoch {epoch + 1}")

    def _stop(self, what: str) -> None:
        raise TrainingError(
            f"The {what}. Try, in a new --workdir: {_steadier(self._train)}. The last backup "
            "was not touched."
        )


class SayWhenLossJumps(keras.callbacks.Callback):
    """Says it, with advice, where validation is far above that of the epoch before.

    A few steps can throw a model back from where it does not come all the way again, and its
    likelihoods are then those of a worse model. A jump that is made good before the epoch's end is
    none here. After a resume the first whole epoch has none before it.

    Args:
      train: what the advice is to change.
    """

    def __init__(self, train: TrainConfig):
        super().__init__()
        self._train, self._before = train, math.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares bits/dim of the validation images."""
        value = float((logs or {}).get("val_bits_per_dim", math.inf))
        if value - self._before > _JUMP * abs(self._before):
            bar = "\n" if sys.stdout.isatty() else ""  # Keras' is not at its end yet
            print(
                f"{bar}The loss jumped in epoch {epoch + 1}: validation had {self._before:.2f} and "
                f"has {value:.2f} bits/dim. The model may end worse than it could. Against it may "
                f"help, in a new --workdir: {_steadier(self._train)}.",
                flush=True,
            )
        self._before = value


def _steadier(train: TrainConfig) -> str:
    """What may keep a training from jumps and NaN, of what it does not do yet."""
    advice = ["a lower config.train.learning_rate"]
    if train.decay != "steps":  # which allows none
        advice.append("more config.train.warmup_steps")
    lower = f"a config.train.clip_norm lower than {train.clip_norm:g}"
    advice.append(lower if train.clip_norm else "config.train.clip_norm=100")
    if train.precision != "float32":
        advice.append("config.train.precision=float32")
    *first, last = advice
    return f"{', '.join(first)}, or {last}"


@contextlib.contextmanager
def averaged_weights(model: LikelihoodModel, images: np.ndarray) -> Iterator[None]:
    """Puts the optimizer's moving average, if it keeps one, in place of the trained weights.

    Args:
      model: in training.
      images: of the training set, uint8 `[B, H, W, C]`: for the model's `moments`, which are then
        those of the weights in place.
    """
    # tf_keras has no public name for the averages; their order is that of the variables.
    averages = model.optimizer._model_variables_moving_average if model.optimizer.use_ema else []
    averaged = model.trainable_variables if averages else []
    changed = [*averaged, *model.moments]
    trained = [variable.numpy() for variable in changed]
    for variable, average in zip(averaged, averages, strict=True):
        variable.assign(average)
    model.estimate_moments(images)
    try:
        yield
    finally:
        for variable, value in zip(changed, trained, strict=True):
            variable.assign(value)


class ValidateWithAverage(keras.callbacks.Callback):
    """Lets validation use the weights that evaluation will: see `averaged_weights`.

    Args:
      images: of the training set, uint8 `[B, H, W, C]`.
    """

    def __init__(self, images: np.ndarray):
        super().__init__()
        self._images = images

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the average in place of the weights."""
        self._average = contextlib.ExitStack()
        self._average.enter_context(averaged_weights(self.model, self._images))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the weights back."""
        self._average.close()


class StopWhenAsked(keras.callbacks.Callback):
    """Ends the training after the step, or the validation, in which a signal came.

    To come after the backup in the list of callbacks.

    Args:
      backup: writes the state, in the middle of an epoch too. None where workers need not have
        seen the signal after the same step, and cannot write their common state: then the last
        backup counts.
      steps_per_epoch: steps between backups.
    """

    def __init__(self, backup: keras.callbacks.BackupAndRestore | None, steps_per_epoch: int):
        super().__init__()
        self._backup, self._steps_per_epoch = backup, steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops in the middle of an epoch; its last step still has a validation to come."""
        number = signals.requested()
        if number is None:
            return
        step = steps_done(self.model)
        epoch, done = divmod(step, self._steps_per_epoch)
        if done == 0:
            return
        if self._backup is None:
            raise signals.Stopped(number, f"at step {epoch * self._steps_per_epoch}")
        # As after the epoch before: Keras will begin this one again, `fit` at its remaining steps.
        self._backup.on_epoch_begin(epoch - 1)
        self._backup.on_epoch_end(epoch - 1)
        raise signals.Stopped(number, f"at step {step}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops after the epoch's own backup."""
        number = signals.requested()
        if number is not None:
            raise signals.Stopped(number, f"at step {(epoch + 1) * self._steps_per_epoch}")
