"""Likelihood models: `build` makes the one that a config names."""

from tfp_ood.config import Config
from tfp_ood.models import glow
from tfp_ood.models.base import LikelihoodModel, UninitializedError

__all__ = ["BUILDERS", "LikelihoodModel", "UninitializedError", "build"]

BUILDERS = {"glow": glow.build}
"""Family -> function of (model config, image shape, seed, precision)."""


def build(config: Config) -> LikelihoodModel:
    """The model of a config, not yet initialised or loaded."""
    builder = BUILDERS[config.model.family]
    return builder(config.model, config.data.image_shape, config.seed, config.train.precision)
