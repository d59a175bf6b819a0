"""PixelCNN on CIFAR-10, judged on SVHN and CIFAR-100 (Nalisnick et al., 2019).

  python main.py --config=configs/pixel_cnn_cifar10.py:small --workdir=runs/pixel_cnn_cifar10 \\
      --config.data.out_of_distribution=array:SVHN.npy

SVHN.npy stands for its test images as an array; where TFDS can fetch them, leave it out.

Small, on two cores: 9 minutes of training, CIFAR-10 3.99 and SVHN 2.80 bits/dim, AUROC 0.05.
Without `:small` it has the paper's size, for one GPU, which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("pixel_cnn", "cifar10", size)
