"""A trained model as a SavedModel: graphs and weights, for any program with TensorFlow alone."""

import os
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfp_ood import paths, units
from tfp_ood.detectors.guard import Guard
from tfp_ood.errors import ExportError
from tfp_ood.evaluation import code_length
from tfp_ood.evaluation.code_length import in_graph
from tfp_ood.export.guard_graph import judgement_tensors
from tfp_ood.models import LikelihoodModel

SIGNATURES = ("log_prob", "sample", "guard")

_PROCESS_BOUND = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
"""Operations that call Python functions of the process that made them: they cannot be shipped."""

_Told = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""uint8 images `[N, H, W, C]` -> `[N]` each."""


def write(
    path: str | os.PathLike[str],
    model: LikelihoodModel,
    num_draws: int,
    guard: Guard,
    batch_size: int = 250,
) -> None:
    """Writes a SavedModel with the signatures `SIGNATURES`.

    `log_prob`: images uint8 `[N, H, W, C]` -> bits_per_dim and the columns that `shipped` names,
    float32 `[N]` each. `guard`: images -> the same, code_bits (`in_graph.code_bits`, float32
    `[N]`), and all of `guard_graph.judgement_tensors`. `sample`: num_images int32 `[]`, seed int32
    `[]`, temperature float32 `[]` -> images uint8 `[num_images, H, W, C]`, those of
    `LikelihoodModel.sample` where it draws as many at once. N is free, 0 included. Beside the
    signatures the function `batch_size` tells, as int32 `[]`, how many images suit one call.

    What a flow's own signal goes through is not touched by TensorFloat-32, which the process that
    loads the model may allow; networks are (`models.products`).

    Args:
      path: folder.
      model: initialised, or loaded.
      num_draws: noise draws per image, where the model needs any; as the guard's images had.
      guard: fitted to columns that are `computable`.
      batch_size: images that suit one call.

    Raises:
      ExportError: the model or a detector of the guard computes in ways that only this process
        can, or a detector needs what is not computable.
      UninitializedError: the model has no weights yet.
    """
    module = tf.Module()
    # The variables alone: the model's own classes would ask for this package where it is loaded.
    module.weights = list(model.variables)
    module.batch_size = tf.function(lambda: tf.constant(batch_size), [], autograph=False)
    score, names = model.scoring_function(num_draws, leaves=True), shipped(model)

    def told(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        bits = units.bits_per_dim(columns["log_prob"], model.num_dims)
        return {**{name: columns[name] for name in names}, "bits_per_dim": bits}

    def judged(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # Neither waits for the other.
        columns = {**score(images), code_length.COLUMN: in_graph.code_bits(images)}
        further = {
            code_length.COLUMN: columns[code_length.COLUMN],
            **judgement_tensors(guard, columns),
        }
        return {**told(columns), **further}

    images = tf.TensorSpec([None, *model.image_shape], tf.uint8)
    number, factor = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
    made = {
        "log_prob": (_of_any_number(lambda images: told(score(images))), [images]),
        "sample": (_sample(model), [number, number, factor]),
        "guard": (_of_any_number(judged), [images]),
    }
    signatures = {
        name: tf.function(function, given, autograph=False).get_concrete_function()
        for name, (function, given) in made.items()
    }
    _check_portable(signatures, type(model).__name__)
    tf.saved_model.save(module, paths.for_tensorflow(path), signatures=signatures)


def shipped(model: LikelihoodModel) -> list[str]:
    """The columns that an exported model tells: log_prob and its terms."""
    return ["log_prob", *model.terms]


def computable(model: LikelihoodModel, num_draws: int) -> frozenset[str]:
    """The columns of a score table that a graph can compute of an image.

    Args:
      model: initialised, or loaded.
      num_draws: noise draws per image.
    """
    told = model.scoring_function(num_draws, leaves=True).get_concrete_function().structured_outputs
    return frozenset([*told, code_length.COLUMN])


def _of_any_number(told: _Told) -> _Told:
    """A function of any number of images from one of at least one.

    An empty batch gets a black image, of which nothing is told: cheaper than a branch.
    """

    def of_any_number(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # TensorFlow does not hold a caller to the signature's shape; its message names both.
        images = tf.ensure_shape(images, images.shape)
        count = tf.shape(images)[0]
        padding = [[0, tf.maximum(0, 1 - count)], [0, 0], [0, 0], [0, 0]]
        padded = tf.ensure_shape(tf.pad(images, padding), images.shape)
        return {name: values[:count] for name, values in told(padded).items()}

    return of_any_number


def _sample(model: LikelihoodModel) -> Callable:
    draw = model.sampling_function(leaves=True)

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
