"""A trained model as a SavedModel: graphs and weights, for any program with TensorFlow alone."""

import os
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfp_ood import units
from tfp_ood.detectors import conformal
from tfp_ood.errors import ExportError
from tfp_ood.export.guard_graph import verdict_tensors
from tfp_ood.models import LikelihoodModel

SIGNATURES = ("log_prob", "sample", "guard")

_TERMS = ("log_prob_latent", "log_det")
"""What flows tell beside log_prob."""

_PROCESS_BOUND = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
"""Operations that call Python functions of the process that made them: they cannot be shipped."""


def write(
    path: str | os.PathLike[str],
    model: LikelihoodModel,
    num_draws: int,
    calibration: conformal.Calibration,
) -> None:
    """Writes a SavedModel with the signatures `SIGNATURES`.

    `log_prob`: images uint8 `[N, H, W, C]` -> log_prob (nats per image) and bits_per_dim, for flows
    log_prob_latent and log_det too: float32 `[N]` each. `guard`: images -> the same, and
    percentile, typicality_p_value and is_out_of_distribution of `guard.verdicts`, `[N]` each.
    `sample`: num_images int32 `[]`, seed int32 `[]`, temperature float32 `[]` -> images uint8
    `[num_images, H, W, C]`, those of `LikelihoodModel.sample`. N is free, 0 included.

    Args:
      path: folder.
      model: initialised, or loaded.
      num_draws: noise draws per image, where the model needs any; as the calibration's.
      calibration: of the guard.

    Raises:
      ExportError: the model computes in ways that only this process can.
      UninitializedError: the model has no weights yet.
    """
    module = tf.Module()
    # The variables alone: the model's own classes would ask for this package where it is loaded.
    module.weights = list(model.variables)
    functions = {
        "log_prob": _log_prob(model, num_draws),
        "sample": _sample(model),
        "guard": _guard(model, num_draws, calibration),
    }
    signatures = {name: made.get_concrete_function() for name, made in functions.items()}
    _check_portable(signatures, type(model).__name__)
    tf.saved_model.save(module, os.fspath(path), signatures=signatures)


def _log_prob(model: LikelihoodModel, num_draws: int) -> Callable:
    function = _likelihoods(model, num_draws)
    return tf.function(function, input_signature=[_images(model)], autograph=False)


def _guard(model: LikelihoodModel, num_draws: int, calibration: conformal.Calibration) -> Callable:
    likelihoods = _likelihoods(model, num_draws)

    @tf.function(input_signature=[_images(model)], autograph=False)
    def verdict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        told = likelihoods(images)
        return {**told, **verdict_tensors(calibration, told["log_prob"])}

    return verdict


def _likelihoods(model: LikelihoodModel, num_draws: int) -> Callable:
    """A function of any number of images that tells log_prob, bits_per_dim and a flow's terms."""
    score = _for_any_number(model.scoring_function(num_draws))

    def told(images: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = score(images)
        chosen = {name: scores[name] for name in ("log_prob", *_TERMS) if name in scores}
        return {**chosen, "bits_per_dim": units.bits_per_dim(scores["log_prob"], model.num_dims)}

    return told


def _sample(model: LikelihoodModel) -> Callable:
    draw = model.sampling_function()
    number, factor = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)

    @tf.function(input_signature=[number, number, factor], autograph=False)
    def sample(num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict:
        images = draw(num_images, tf.stack([seed, 0]), temperature)
        return {"images": tf.ensure_shape(images, [None, *model.image_shape])}

    return sample


def _images(model: LikelihoodModel) -> tf.TensorSpec:
    return tf.TensorSpec([None, *model.image_shape], tf.uint8)


def _for_any_number(score: Callable) -> Callable:
    """A scoring function for any number of images, out of one for at least 1.

    An empty batch gets a black image, whose scores are dropped: cheaper than a branch.
    """

    def padded_score(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # TensorFlow does not hold a caller to the signature's shape; its message names both.
        images = tf.ensure_shape(images, images.shape)
        count = tf.shape(images)[0]
        padding = [[0, tf.maximum(0, 1 - count)], [0, 0], [0, 0], [0, 0]]
        padded = tf.ensure_shape(tf.pad(images, padding), images.shape)
        return {name: values[:count] for name, values in score(padded).items()}

    return padded_score


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
