"""Reading what a training left: weights that Keras saved, and their record."""

import json
import pathlib
from typing import Any

import tensorflow as tf

from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras


def read_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Puts the weights at `path`, as `save_weights` wrote them, into a model.

    Raises:
      TrainingError: the files are damaged, or of another model.
    """
    try:
        status = model.load_weights(path)
        status.assert_existing_objects_matched()
    # TensorFlow's readers of damaged files fail in many ways, IndexError among them.
    except (tf.errors.OpError, AssertionError, ValueError, OSError, IndexError) as error:
        raise TrainingError(
            f"The weights {path} are damaged ({type(error).__name__}). "
            f"Delete {path.parent} and run --mode=train again."
        ) from error
    status.expect_partial()  # the optimizer's state is not needed any more


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
