"""Glow on FashionMNIST, judged on MNIST (Nalisnick et al., 2019).

  python main.py --config=configs/glow_fashion_mnist.py:small --workdir=runs/glow_fm

Small, on two cores: seven minutes of training, FashionMNIST 3.43 and MNIST 2.14 bits/dim, AUROC
0.09. Without `:small` it has the paper's size, for one GPU, which has not been run. The paper's
figures, recalled and not checked, are 2.96 bits/dim for FashionMNIST and 1.83 for MNIST.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("glow", "fashion_mnist", size)
