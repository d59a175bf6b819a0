"""RealNVP (Dinh et al., 2017) from bijectors.

Unlike the published one its features do not grow from level to level, its coupling networks are
normalized inside by actnorms, and the scale of their tanh is not learned.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.families import RealNVPConfig
from tfp_ood.models.flows import batch_norm, bijectors, couplings, networks
from tfp_ood.models.flows.flow import FlowModel

tfb = tfp.bijectors

_NORMALIZATIONS = {"actnorm": bijectors.ActNorm, "batch_norm": batch_norm.BatchNorm}


class RealNVPModel(FlowModel):
    """A flow whose batch normalizations, if it has any, learn in training steps only."""

    @property
    def moments(self) -> list[tf.Variable]:
        """See `LikelihoodModel`."""
        layers = [part for part in self.submodules if isinstance(part, batch_norm.BatchNorm)]
        return [variable for layer in layers for variable in (layer.mean, layer.variance)]

    def _estimate_moments(self, images: tf.Tensor) -> None:
        self._initialize(images, method="estimate_moments")

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        with batch_norm.batch_statistics():
            return super()._training_log_prob(images, labels, seed)


def build(
    model: RealNVPConfig, image_shape: tuple[int, int, int], seed: int, precision: str
) -> FlowModel:
    """The model of a config; see `models.BUILDERS`."""
    flow = real_nvp_bijector(model, image_shape, seed, precision)
    levels = bijectors.level_shapes(image_shape, model.num_levels)
    return RealNVPModel(flow, image_shape, seed, levels)


def real_nvp_bijector(
    model: RealNVPConfig,
    image_shape: tuple[int, int, int],
    seed: int = 0,
    policy: str = "float32",
    dtype: tf.DType = tf.float32,
) -> tfb.Bijector:
    """The map from an image `[H, W, C]` to a latent vector `[H * W * C]`.

    Each level has couplings with checkerboard masks, then with masks of channels, and ends half of
    the channels as latents; the last has one more of the checkerboard and nothing else (section
    3.6). Unlike in the paper the squeeze comes first: the pixels of a checkerboard's colours are
    then halves of the channels, and the networks run on a quarter of the positions without input
    that is masked. What depends on what is the same; a network sees twice as far.

    Args:
      model: sizes.
      image_shape: of the image; height and width divide by `2**model.num_levels`.
      seed: of the initial weights.
      policy: dtype policy of the networks.
      dtype: of everything else.
    """
    shape = (image_shape[0] // 2, image_shape[1] // 2, image_shape[2] * 4)
    count, is_last = model.num_couplings, model.num_levels == 1
    # Seeds are spread so that no two layers of a model start alike.
    level_seed = seed * 1_000_003 + model.num_levels * 10_007
    seeds = range(level_seed, level_seed + 10_007, 2 * model.num_blocks + 1)
    normalization = functools.partial(_NORMALIZATIONS[model.normalization], shape[2], dtype)

    def steps(seeds: Iterable[int]) -> Iterator[tfb.Bijector]:
        """Couplings, each keeping the other half than the one before, and normalizations."""
        sizes = (model.num_blocks, model.num_hidden, shape[2])
        for step_seed, keep in zip(seeds, itertools.cycle(["first", "second"]), strict=False):
            network = networks.ResidualNetwork(*sizes, step_seed, policy)
            yield couplings.AffineCoupling(network, dtype, keep=keep)
            yield normalization()

    flow = [bijectors.Squeeze(dtype), normalization(), bijectors.Checkerboard(dtype)]
    flow += steps(seeds[: count + is_last])
    if is_last:
        flow.append(bijectors.flatten_image(shape))
    else:
        flow += [bijectors.Checkerboard(dtype), *steps(seeds[count : 2 * count])]
        rest = dataclasses.replace(model, num_levels=model.num_levels - 1)
        rest_shape = (*shape[:2], shape[2] // 2)
        rest_flow = real_nvp_bijector(rest, rest_shape, seed, policy, dtype)
        flow.append(bijectors.factor_out(shape, rest_flow))
    return bijectors.Chain(flow[::-1], name=f"real_nvp_{model.num_levels}")
