"""A VAE on CIFAR-10, judged on SVHN and CIFAR-100 (Nalisnick et al., 2019).

  python main.py --config=configs/vae_cifar10.py:small --workdir=runs/vae_cifar10 \\
      --config.data.out_of_distribution=array:SVHN.npy --config.data.num_test=1000

SVHN.npy stands for its test images as an array; where TFDS can fetch them, leave it out.

Small, on two cores: 5 minutes of training, CIFAR-10 6.90 and SVHN 6.48 bits/dim (1,000 images each,
K = 50), AUROC 0.23. Without `:small` it has the paper's size, for one GPU, which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("vae", "cifar10", size)
