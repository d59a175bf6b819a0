"""Glow (Kingma & Dhariwal, 2018) from bijectors: one function, the whole model on one screen."""

import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.families import GlowConfig
from tfp_ood.models.flows import bijectors, couplings, mixing, networks
from tfp_ood.models.flows.class_conditional import ClassConditionalFlow
from tfp_ood.models.flows.flow import FlowModel

tfb = tfp.bijectors


def build(
    model: GlowConfig, image_shape: tuple[int, int, int], seed: int, precision: str
) -> FlowModel:
    """The model of a config; see `models.BUILDERS`."""
    flow = glow_bijector(model, image_shape, seed, precision)
    levels = bijectors.level_shapes(image_shape, model.num_levels)
    if model.num_classes:
        return ClassConditionalFlow(flow, image_shape, model.num_classes, seed, levels)
    return FlowModel(flow, image_shape, seed, levels)


def glow_bijector(
    model: GlowConfig,
    image_shape: tuple[int, int, int],
    seed: int = 0,
    policy: str = "float32",
    dtype: tf.DType = tf.float32,
) -> tfb.Bijector:
    """The map from an image `[H, W, C]` to a latent vector `[H * W * C]`.

    Each level is a squeeze, `num_steps` flow steps and an actnorm; all but the last then end
    half of the channels, normalised by a Gaussian that is conditioned on the other half.

    Args:
      model: sizes, and the kind of coupling.
      image_shape: of the image; height and width divide by `2**model.num_levels`.
      seed: of the initial weights.
      policy: dtype policy of the networks.
      dtype: of everything else.
    """
    height, width, channels = image_shape[0] // 2, image_shape[1] // 2, image_shape[2] * 4
    num_outputs = channels // 2 * (1 if model.coupling == "additive" else 2)  # of coupling networks
    flow = [bijectors.Squeeze(dtype)]
    for step in range(model.num_steps):
        # Seeds are spread so that no two layers of a model start alike.
        step_seed = seed * 1_000_003 + model.num_levels * 10_007 + step * 11
        linear = mixing.InvertibleConv1x1(channels, step_seed, dtype)
        flow.append(mixing.NormalizedConv1x1(bijectors.ActNorm(channels, dtype), linear))
        network = networks.CouplingNetwork(model.num_hidden, num_outputs, step_seed + 1, policy)
        flow.append(_coupling(model.coupling, network, dtype))
    flow.append(bijectors.ActNorm(channels, dtype))
    if model.num_levels == 1:
        flow.append(bijectors.flatten_image((height, width, channels)))
    else:
        rest_shape = (height, width, channels - channels // 2)
        fewer = dataclasses.replace(model, num_levels=model.num_levels - 1)
        rest = glow_bijector(fewer, rest_shape, seed, policy, dtype)
        network = networks.zero_convolution(num_outputs, policy)
        flow.append(_coupling(model.coupling, network, dtype))
        flow.append(bijectors.factor_out((height, width, channels), rest))
    return bijectors.Chain(flow[::-1], name=f"glow_{model.num_levels}")


def _coupling(kind: str, network: couplings.Network, dtype: tf.DType) -> bijectors.ImageBijector:
    if kind == "additive":
        return couplings.AdditiveCoupling(network, dtype)
    scales = {"affine_sigmoid": couplings.sigmoid_scale, "affine": couplings.tanh_scale}
    return couplings.AffineCoupling(network, dtype, log_scale=scales[kind])
