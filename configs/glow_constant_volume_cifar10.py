"""Constant-volume Glow on CIFAR-10, judged on SVHN and CIFAR-100: additive couplings only.

  python main.py --config=configs/glow_constant_volume_cifar10.py:small --workdir=runs/cv_cifar10

The volume term is the same for every image, so that it cannot be what prefers SVHN. Not run:
small takes about 5 minutes of training on two cores; the paper finds SVHN likelier here too (AUROC
below 0.5). Without `:small` it has the paper's size, for one GPU.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    config = experiment("glow", "cifar10", size)
    config.model.coupling = "additive"
    if size == "small":
        config.train.learning_rate = 3e-3  # with which the README measures it
    return config
