"""Glow on CIFAR-10, judged on SVHN and CIFAR-100 (Nalisnick et al., 2019).

  python main.py --config=configs/glow_cifar10.py:small --workdir=runs/glow_cifar10 \\
      --config.data.out_of_distribution=array:SVHN.npy

SVHN.npy stands for its test images as an array; where TFDS can fetch them, leave it out.

Small, on two cores: 4 minutes of training, CIFAR-10 4.01 and SVHN 2.82 bits/dim, AUROC 0.04.
Without `:small` it has the paper's size, for one GPU, which has not been run. The paper's figures
are 3.46 bits/dim for CIFAR-10 and 2.39 for SVHN.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("glow", "cifar10", size)
