"""Constant-volume Glow on FashionMNIST, judged on MNIST: additive couplings only.

  python main.py --config=configs/glow_constant_volume_fashion_mnist.py:small --workdir=runs/glow_cv

The volume term is the same for every image, so that it cannot be what prefers MNIST. Small,
on two cores: 6 minutes of training, FashionMNIST 5.52 and MNIST 5.27 bits/dim, AUROC 0.47. Without
`:small` the paper's size, for one GPU; it has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    config = experiment("glow", "fashion_mnist", size)
    config.model.coupling = "additive"
    if size == "small":
        config.train.learning_rate = 3e-3  # with which the figures above were measured
    return config
