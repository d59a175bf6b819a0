"""The backup that a killed training leaves, by which the same command goes on."""

import pathlib

import tensorflow as tf

from tfp_ood import paths
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.training.weights import UNREADABLE, check_same, why_unreadable
from tfp_ood.workdir import WorkDir


def saved_step(workdir: WorkDir) -> int:
    """Number of steps that the backup of a killed training holds; 0 without a backup.

    Raises:
      TrainingError: it is damaged, or not complete.
    """
    if not (workdir.backup / "chief" / "checkpoint").exists():
        return 0
    # What BackupAndRestore will start from; the batches must start there too.
    name = "model/optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
    latest = _latest(workdir)
    if latest is None:
        raise _unusable(workdir, "not complete", FileNotFoundError())
    try:
        return int(tf.train.load_variable(latest, name))
    except (*UNREADABLE, ValueError) as error:
        raise _unusable(workdir, why_unreadable(pathlib.Path(latest)), error) from error


def check(workdir: WorkDir, model: keras.Model) -> None:
    """Refuses a backup of other weights than the model has, which restoring would leave alone.

    Args:
      workdir: with a backup.
      model: as it was built. It gets the backup's weights.

    Raises:
      TrainingError: the weights are others, or damaged.
    """
    latest = _latest(workdir)
    try:
        status = tf.train.Checkpoint(model=model).read(latest).expect_partial()
        check_same(status, latest, model, "model/")
    except (AssertionError, ValueError) as error:
        what = "of a model with other weights, such as another version of this program builds"
        raise _unusable(workdir, what, error) from error
    except UNREADABLE as error:
        raise _unusable(workdir, why_unreadable(pathlib.Path(latest)), error) from error


def _latest(workdir: WorkDir) -> str | None:
    return tf.train.latest_checkpoint(paths.for_tensorflow(workdir.backup / "chief"))


def _unusable(workdir: WorkDir, what: str, error: Exception) -> TrainingError:
    return TrainingError(
        f"The backup in {workdir.backup / 'chief'} is {what} ({type(error).__name__}). "
        f"Delete {workdir.backup} and run the same command: training starts over."
    )
