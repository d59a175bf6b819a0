"""PixelCNN on FashionMNIST, judged on MNIST (Nalisnick et al., 2019).

  python main.py --config=configs/pixel_cnn_fashion_mnist.py:small --workdir=runs/pixel_cnn_fm

Small, on two cores: 6 minutes of training, FashionMNIST 3.01 and MNIST 1.57 bits/dim, AUROC 0.06.
Without `:small` it has the paper's size, for one GPU, which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("pixel_cnn", "fashion_mnist", size)
