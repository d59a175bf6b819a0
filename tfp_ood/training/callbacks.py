"""Keras callbacks of the training loop."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends the training with advice when the loss is no longer a number."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the running mean of bits/dim, which a single NaN spoils for good."""
        value = float((logs or {})["bits_per_dim"])
        if not math.isfinite(value):
            self._stop(f"loss became {value} at step {int(self.model.optimizer.iterations)}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the validation too, before the backup: the last step's weights spoil only it."""
        value = float((logs or {}).get("val_bits_per_dim", 0.0))
        if not math.isfinite(value):
            self._stop(f"validation became {value} bits/dim after epoch {epoch + 1}")

    def _stop(self, what: str) -> None:
        raise TrainingError(
            f"The {what}. Try, in a new --workdir: a lower config.train.learning_rate, more "
            "config.train.warmup_steps, a lower config.train.clip_norm, or "
            "config.train.precision=float32. The last backup was not touched."
        )


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the optimizer's moving average, if it keeps one, in place of the trained weights."""
    optimizer, variables = model.optimizer, model.trainable_variables
    if not optimizer.use_ema:
        yield
        return
    trained = [variable.numpy() for variable in variables]
    # tf_keras has no public name for the averages; their order is that of the variables.
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)


class ValidateWithAverage(keras.callbacks.Callback):
    """Lets validation use the optimizer's moving average of the weights, as evaluation will."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the average in place of the weights."""
        self._average = contextlib.ExitStack()
        self._average.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the weights back."""
        self._average.close()
