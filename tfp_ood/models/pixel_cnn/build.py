"""PixelCNNs: exact likelihoods, one pixel after the other.

log p(x) = sum_i log p(x_i | x_1, ..., x_{i-1}) over the pixels in raster order.
"""

import tensorflow as tf

from tfp_ood.families import PixelCNNConfig
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.models.pixel_cnn import layers, sampler
from tfp_ood.models.pixel_cnn.heads import CategoricalHead, Head, LogisticHead
from tfp_ood.models.pixel_cnn.layers import ShiftedConv, WholeImage, network_inputs
from tfp_ood.models.pixel_cnn.networks import GatedNetwork, Network, PlusPlusNetwork


def build(
    model: PixelCNNConfig, image_shape: tuple[int, int, int], seed: int, precision: str
) -> "PixelCNN":
    """The model of a config; see `models.BUILDERS`."""
    channels, seeds = image_shape[2], layers.seeds(seed)
    if model.output == "categorical":
        network = GatedNetwork(channels, model.num_layers, model.num_filters, seeds, precision)
        head = CategoricalHead(network.num_features, channels, seeds)
    else:
        sizes = (model.num_hierarchies, model.num_layers, model.num_filters)
        network = PlusPlusNetwork(channels, *sizes, seeds, precision)
        head = LogisticHead(network.num_features, channels, model.num_mixtures, seeds)
    return PixelCNN(network, head, image_shape, model.dropout, seed)


class PixelCNN(LikelihoodModel):
    """An autoregressive model of pixels, from its first forward pass on.

    Args:
      network: features of each pixel from those before it.
      head: from features to the likelihood of the pixel.
      image_shape: (H, W, C).
      dropout: share of hidden values that are dropped in training.
      seed: of all noise.
    """

    log_prob_kind = "exact"

    def __init__(
        self,
        network: Network,
        head: Head,
        image_shape: tuple[int, int, int],
        dropout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(image_shape, seed)
        self.network, self.head, self.dropout = network, head, dropout
        self._finish_build()

    def _initialize(self, images):
        self._log_prob(images, apply=ShiftedConv.initialize)

    def _training_log_prob(self, images, labels, seed):
        return self._log_prob(images, dropout=self.dropout, seed=seed)

    def _scores(self, images, num_draws):
        return {"log_prob": self._log_prob(images)}

    def _log_prob(self, images, **how):
        by_pixel = self._pixel_log_probs(network_inputs(images), images, **how)
        return tf.reduce_sum(by_pixel, axis=[1, 2])

    def _pixel_log_probs(self, inputs, images, **how):
        """Nats of each pixel of `images`, `[B, H, W]`, given `inputs` of the network."""
        run = WholeImage(inputs, **how)
        self.network.vertical(run)
        features = tf.cast(self.network.horizontal(run), tf.float32)
        return self.head.log_prob(run, features, images)

    def _samples(self, num_images, seed, temperature):
        noise = sampler.draw_noise(num_images, self.image_shape, self.head, seed)
        channels = self.image_shape[2]
        return sampler.sample(self.network, self.head, noise, temperature, channels)
