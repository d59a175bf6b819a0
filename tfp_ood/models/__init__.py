"""Likelihood models: `build` makes the one that a config names.

`base.py` is what every family promises; each has a room of its own, `flows/`, `pixel_cnn/` and
`vae/`. May import the modules at the root of the package: models know no data sets and no training.
"""

from tfp_ood.config import Config
from tfp_ood.models.base import LikelihoodModel, UninitializedError
from tfp_ood.models.flows import glow, real_nvp
from tfp_ood.models.pixel_cnn.build import PixelCNN
from tfp_ood.models.vae.build import VAE

__all__ = ["BUILDERS", "LikelihoodModel", "UninitializedError", "build"]

BUILDERS = {
    "glow": glow.build,
    "pixel_cnn": PixelCNN,
    "real_nvp": real_nvp.build,
    "vae": VAE,
}
"""Family -> function or class that makes a model, not yet initialised, of:

- the options, `config.model`;
- the image shape (H, W, C), which `config.model.check` has found to fit;
- a seed, of weights and noise;
- the precision, a tf_keras dtype policy of the networks.
"""


def build(config: Config) -> LikelihoodModel:
    """The model of a config, not yet initialised or loaded."""
    builder = BUILDERS[config.model.family]
    return builder(config.model, config.data.image_shape, config.seed, config.train.precision)
