"""Models and images that are the same on every machine, without a file of weights.

Every weight is drawn by `numpy.random.RandomState`, whose streams NumPy keeps for good, in the
order of a model's variables: kernels with standard deviation 0.95 / sqrt(inputs), gains around 1,
everything else around 0 with 0.1. So no layer is the identity or zero, as after a training. With
smaller kernels a flow forgives operands that are rounded; with larger ones its latents are huge.
"""

import math

import numpy as np

from tfp_ood import models
from tfp_ood.config import Config, DataConfig
from tfp_ood.families import MODEL_CONFIGS

SHAPE = (16, 16, 3)
NUM_IMAGES = 8
_GAIN, _SPREAD = 0.95, 0.1
_SEED = 20190209

MODELS = {
    "glow": ("glow", {"num_levels": 2, "num_steps": 2, "num_hidden": 32}),
    "real_nvp": (
        "real_nvp",
        {"num_levels": 2, "num_couplings": 2, "num_blocks": 1, "num_hidden": 16},
    ),
    "pixel_cnn": (
        "pixel_cnn",
        {"num_hierarchies": 2, "num_layers": 1, "num_filters": 16, "num_mixtures": 3},
    ),
    "vae": ("vae", {"num_latents": 8, "num_filters": 8}),
}
"""Name -> family and options: one of each family, small, and wide enough for matrix units."""


def model(name: str) -> models.LikelihoodModel:
    """The fixed model of a name in `MODELS`, ready to score."""
    family, options = MODELS[name]
    config = Config(data=DataConfig(image_shape=SHAPE), model=MODEL_CONFIGS[family](**options))
    made = models.build(config)
    set_weights(made)
    made._initialized.assign(True)  # what images would have set is set
    return made


def set_weights(made: models.LikelihoodModel) -> None:
    """Puts the fixed weights in the place of a model's own."""
    draws = np.random.RandomState(_SEED)
    for variable in made.trainable_variables:
        normal = draws.standard_normal(variable.shape)
        if len(variable.shape) > 1:
            normal *= _GAIN / math.sqrt(math.prod(variable.shape[:-1]))
        elif variable.name.startswith("gain"):
            normal = 1.0 + _SPREAD * normal
        else:
            normal = _SPREAD * normal
        variable.assign(normal.astype(np.float32))


def images(count: int = NUM_IMAGES, shape: tuple[int, int, int] = SHAPE, seed: int = 0):
    """Smooth images with some noise, uint8 `[count, *shape]`: there is something to learn."""
    draws = np.random.RandomState(seed)
    base = draws.uniform(40, 200, (count, 1, 1, shape[-1]))
    rows = draws.uniform(-40, 40, (count, 1, 1, 1)) * np.linspace(-1, 1, shape[0])[:, None, None]
    noise = draws.normal(0, 6, (count, *shape))
    return np.clip(base + rows + noise, 0, 255).astype(np.uint8)
