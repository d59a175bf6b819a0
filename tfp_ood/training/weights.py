"""What a training leaves: weights, as Keras saves them, and their record."""

import json
import pathlib
from typing import Any

import tensorflow as tf

from tfp_ood import paths
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras

UNREADABLE = (tf.errors.OpError, OSError, IndexError, RuntimeError)
"""In how many ways TensorFlow's readers of damaged files fail."""


def write_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Writes the weights of a model for `read_weights`: files whose names begin as `path`."""
    model.save_weights(paths.for_tensorflow(path))


def read_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Puts the weights at `path`, as `write_weights` wrote them, into a model.

    Raises:
      TrainingError: the files are missing, damaged, or of another model.
    """
    try:
        # The optimizer's state is not needed any more.
        name = paths.for_tensorflow(path)
        check_same(model.load_weights(name).expect_partial(), name, model)
    except (*UNREADABLE, AssertionError, ValueError) as error:
        raise TrainingError(
            f"The weights {path} are {why_unreadable(path)} ({type(error).__name__}). "
            f"Delete {path.parent} and run --mode=train again."
        ) from error


def check_same(
    status: Any,
    checkpoint: str,
    model: keras.Model,
    prefix: str = "",
) -> None:
    """Refuses a checkpoint of other weights than a model's.

    Args:
      status: what reading it into the model returned.
      checkpoint: what was read.
      model: it was read into.
      prefix: what the names of the model's weights begin with there.

    Raises:
      AssertionError: the model has more weights.
      ValueError: the checkpoint has more.
    """
    status.assert_existing_objects_matched()
    names = [name for name, _ in tf.train.list_variables(checkpoint)]
    other = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/", f"{prefix}optimizer/")
    kept = [name for name in names if name.startswith(prefix) and not name.startswith(other)]
    if len(kept) != len(model.variables):
        raise ValueError(f"{len(kept)} weights; the model has {len(model.variables)}")


def why_unreadable(path: pathlib.Path) -> str:
    """What is wrong with files that TensorFlow cannot read: "not complete" or "damaged, or ...".

    Args:
      path: how their names begin: PATH.index and PATH.data-00000-of-00001, of as many as it says.
    """
    parts = [part.suffix for part in path.parent.glob("*.data-*-of-*") if part.stem == path.name]
    counts = [int(part.rpartition("-")[2]) for part in parts]
    is_whole = counts and set(counts) == {len(counts)}
    has_index = path.with_name(f"{path.name}.index").exists()
    whole = "damaged, or of another version of this program"
    return whole if is_whole and has_index else "not complete"


def read_facts(path: pathlib.Path) -> dict[str, Any]:
    """What is known of a training, from the JSON file that it left beside the weights.

    Raises:
      TrainingError: the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise TrainingError(
            f"{path} is damaged ({error}). Delete {path.parent} and run --mode=train again."
        ) from error
