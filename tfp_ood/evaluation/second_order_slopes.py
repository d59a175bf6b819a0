"""The slopes of a constant-volume Glow that `second_order` needs, taken from the model once."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.evaluation import second_order
from tfp_ood.models.flows import bijectors, mixing
from tfp_ood.models.flows.flow import FlowModel

tfb = tfp.bijectors

_ROWS = 128  # of the Jacobian at a time


def slopes(model: FlowModel, mean_image: np.ndarray) -> dict[str, np.ndarray]:
    """How the latents and the likelihood change with each pixel.

    Args:
      model: a Glow with additive couplings and a standard normal latent.
      mean_image: x0, float [H, W, C], the mean of the in-distribution images.

    Returns:
      float64 each: kernel_0, kernel_1, ... [C_l, C_l], the product of every level's 1x1 kernels
      and actnorm scales; kernel_sensitivity [H, W, C], by these alone; sensitivity [H, W, C],
      sum_o (dz_o / dx_i)^2 at x0; gradient [H, W, C], of log p at x0, nats per pixel value.
    """
    kernels = list(_level_kernels(model.distribution.bijector.bijector))
    sensitivity, gradient = _at(model, tf.constant(mean_image + 0.5, tf.float32))
    return {
        **{f"kernel_{level}": kernel for level, kernel in enumerate(kernels)},
        "kernel_sensitivity": second_order.kernel_sensitivity(kernels, model.image_shape),
        "sensitivity": sensitivity,
        "gradient": gradient,
    }


def _level_kernels(flow: tfb.Bijector) -> Iterator[np.ndarray]:
    """The linear part of every level, which an actnorm of its own ends."""
    product = None
    for part in _parts(flow):
        if isinstance(part, mixing.NormalizedConv1x1):
            step = np.diag(np.exp(part.actnorm.log_scale)) @ part.conv.matrix().numpy()
            product = step if product is None else product @ step
        elif isinstance(part, bijectors.ActNorm):
            yield np.float64(product * np.exp(part.log_scale))
            product = None


def _parts(bijector: tfb.Bijector) -> Iterator[tfb.Bijector]:
    """What a composition is made of, in the order of `forward`."""
    if isinstance(bijector, tfb.JointMap):
        inner = bijector.bijectors
    else:
        inner = reversed(bijector.bijectors) if isinstance(bijector, tfb.Composition) else ()
    if not inner:
        yield bijector
    for part in inner:
        yield from _parts(part)


def _at(model: FlowModel, point: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """`sensitivity` and `gradient` at a point, from all rows of the Jacobian dz/dx.

    The volume does not depend on x, so that grad log p = -J^T z.
    """
    to_latent = model.distribution.bijector.bijector

    @tf.function
    def rows(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.repeat(point[tf.newaxis], tf.size(outputs), 0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            chosen = tf.gather(to_latent.forward(x), outputs, batch_dims=1)
        return chosen, tape.gradient(chosen, x)

    sensitivity, gradient = np.zeros(point.shape), np.zeros(point.shape)
    for start in range(0, model.num_dims, _ROWS):
        outputs = tf.range(start, min(start + _ROWS, model.num_dims))
        latents, jacobian = (part.numpy().astype(np.float64) for part in rows(outputs))
        sensitivity += np.sum(np.square(jacobian), axis=0)
        gradient -= np.tensordot(latents, jacobian, axes=1)
    return sensitivity, gradient
