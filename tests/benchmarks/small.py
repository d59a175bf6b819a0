"""The small model of an experiment on noise, for benchmarks of what it computes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood import experiments, models
from tfp_ood.config import Config, from_config_dict
from tfp_ood.models.base import LikelihoodModel


def on_noise(
    family: str, pair: str, num_images: int | None = None, model: Mapping[str, Any] | None = None
) -> tuple[Config, LikelihoodModel, np.ndarray]:
    """An experiment, its model, initialized and not compiled, and that many uint8 images
    `[N, H, W, C]`; a training batch of them by default. `model` changes `config.model`."""
    changed = experiments.experiment(family, pair, "small")
    changed.model.update(model or {})
    config = from_config_dict(changed)
    shape = (num_images or config.train.batch_size, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    built = models.build(config)
    built.initialize(images)
    return config, built, images
