"""A trained model as a SavedModel: graphs and weights, for any program with TensorFlow alone."""

import os
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfp_ood import units
from tfp_ood.detectors import ColumnDetector, Detector
from tfp_ood.detectors.conformal import Guard
from tfp_ood.errors import ExportError
from tfp_ood.export.guard_graph import verdict_tensors
from tfp_ood.models import LikelihoodModel

SIGNATURES = ("log_prob", "sample", "guard")

_PROCESS_BOUND = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
"""Operations that call Python functions of the process that made them: they cannot be shipped."""


def write(
    path: str | os.PathLike[str], model: LikelihoodModel, num_draws: int, guard: Guard
) -> None:
    """Writes a SavedModel with the signatures `SIGNATURES`.

    `log_prob`: images uint8 `[N, H, W, C]` -> bits_per_dim and the columns that `shipped` names,
    float32 `[N]` each. `guard`: images -> the same, and percentile, typicality_p_value and
    is_out_of_distribution of `conformal.verdicts`, `[N]` each. `sample`: num_images int32 `[]`,
    seed int32 `[]`, temperature float32 `[]` -> images uint8 `[num_images, H, W, C]`, those of
    `LikelihoodModel.sample`. N is free, 0 included.

    Args:
      path: folder.
      model: initialised, or loaded.
      num_draws: noise draws per image, where the model needs any; as the guard's images had.
      guard: fitted.

    Raises:
      ExportError: the model or the guard's detector computes in ways that only this process can.
      UninitializedError: the model has no weights yet.
    """
    module = tf.Module()
    # The variables alone: the model's own classes would ask for this package where it is loaded.
    module.weights = list(model.variables)
    told = _statistics(model, num_draws, shipped(model, guard.detector))

    def judged(images: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = told(images)
        scores = guard.detector.of_columns(columns, tf.experimental.numpy)
        return {**columns, **verdict_tensors(guard.calibration, scores)}

    images = tf.TensorSpec([None, *model.image_shape], tf.uint8)
    number, factor = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
    made = {
        "log_prob": (told, [images]),
        "sample": (_sample(model), [number, number, factor]),
        "guard": (judged, [images]),
    }
    signatures = {
        name: tf.function(function, given, autograph=False).get_concrete_function()
        for name, (function, given) in made.items()
    }
    _check_portable(signatures, type(model).__name__)
    tf.saved_model.save(module, os.fspath(path), signatures=signatures)


def shipped(model: LikelihoodModel, detector: Detector) -> list[str]:
    """The columns that an exported model tells: log_prob, its terms, and what the detector needs.

    Raises:
      ExportError: the detector cannot leave the score tables.
    """
    if not isinstance(detector, ColumnDetector):
        raise ExportError(
            f"The detector {detector.name} cannot be exported: its score is no arithmetic on "
            "columns (detectors.ColumnDetector)."
        )
    return list(dict.fromkeys(["log_prob", *model.terms, *detector.needs]))


def _statistics(model: LikelihoodModel, num_draws: int, columns: Sequence[str]) -> Callable:
    """A function of any number of images that tells these columns, and bits_per_dim.

    An empty batch gets a black image, whose scores are dropped: cheaper than a branch.
    """
    score = model.scoring_function(num_draws)

    def told(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # TensorFlow does not hold a caller to the signature's shape; its message names both.
        images = tf.ensure_shape(images, images.shape)
        count = tf.shape(images)[0]
        padding = [[0, tf.maximum(0, 1 - count)], [0, 0], [0, 0], [0, 0]]
        padded = tf.ensure_shape(tf.pad(images, padding), images.shape)
        scores = {name: values[:count] for name, values in score(padded).items()}
        if missing := sorted(set(columns) - set(scores)):
            raise ExportError(
                f"The guard cannot be exported: the model does not tell {', '.join(missing)}."
            )
        bits = {"bits_per_dim": units.bits_per_dim(scores["log_prob"], model.num_dims)}
        return {**{name: scores[name] for name in columns}, **bits}

    return told


def _sample(model: LikelihoodModel) -> Callable:
    draw = model.sampling_function()

    def sample(num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict:
        images = draw(num_images, tf.stack([seed, 0]), temperature)
        return {"images": tf.ensure_shape(images, [None, *model.image_shape])}

    return sample


def _check_portable(signatures: Mapping[str, Callable], name: str) -> None:
    """Refuses graphs that need this process."""
    for signature, function in signatures.items():
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        bound = sorted({node.op for node in nodes} & _PROCESS_BOUND)
        if bound:
            raise ExportError(
                f"A {name} cannot be exported: its {signature} calls back into Python "
                f"({', '.join(bound)}), which other programs do not have."
            )
