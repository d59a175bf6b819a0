"""RealNVP on FashionMNIST, judged on MNIST (Nalisnick et al., 2019).

  python main.py --config=configs/real_nvp_fashion_mnist.py:small --workdir=runs/real_nvp_fm

Small, on two cores: 9 minutes of training, FashionMNIST 3.59 and MNIST 2.33 bits/dim, AUROC 0.11.
Without `:small` it has the paper's size, for one GPU, which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("real_nvp", "fashion_mnist", size)
