"""Glow on FashionMNIST, judged on MNIST: the first pair of Nalisnick et al. (2019).

  python main.py --config=configs/glow_fashion_mnist.py --workdir=runs/glow_fashion_mnist

The paper's size, 2 levels of 16 steps with 200 hidden channels, for one GPU. Expected: the paper's
figures, recalled and not checked, are 2.96 bits/dim for FashionMNIST and 1.83 for MNIST.
"""

import ml_collections

from tfp_ood.config import defaults


def get_config() -> ml_collections.ConfigDict:
    """The experiment."""
    config = defaults("glow")
    config.model.num_steps = 16
    config.model.num_hidden = 200
    config.train.num_steps = 100_000
    config.train.steps_per_epoch = 1_000
    config.train.warmup_steps = 1_000
    config.train.ema_momentum = 0.999
    return config
