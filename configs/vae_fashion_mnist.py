"""A VAE on FashionMNIST, judged on MNIST (Nalisnick et al., 2019).

  python main.py --config=configs/vae_fashion_mnist.py:small --workdir=runs/vae_fm \\
      --config.data.num_test=1000

Small, on two cores: 15 minutes of training, FashionMNIST 3.43 and MNIST 2.08 bits/dim (1,000 images
each, K = 50), AUROC 0.11; with --config.model.decoder=logistic 4 minutes, 3.49, 2.29, AUROC 0.15.
Without `:small` it has the paper's size, for one GPU, which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("vae", "fashion_mnist", size)
