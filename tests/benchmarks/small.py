"""The small model of an experiment on noise, for benchmarks of what it computes."""

import numpy as np

from tfp_ood import experiments, models
from tfp_ood.config import Config, from_config_dict
from tfp_ood.models.base import LikelihoodModel


def on_noise(
    family: str, pair: str, num_images: int | None = None
) -> tuple[Config, LikelihoodModel, np.ndarray]:
    """An experiment, its model, initialized and not compiled, and that many uint8 images
    `[N, H, W, C]`; a training batch of them by default."""
    config = from_config_dict(experiments.experiment(family, pair, "small"))
    shape = (num_images or config.train.batch_size, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    model = models.build(config)
    model.initialize(images)
    return config, model, images
