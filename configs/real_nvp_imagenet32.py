"""RealNVP on ImageNet 32x32, judged on CIFAR-10, CIFAR-100 and SVHN (Nalisnick et al., 2019).

  python main.py --config=configs/real_nvp_imagenet32.py:small --workdir=runs/real_nvp_imagenet32

Not run on this pair. Small takes 2 minutes of training on two cores for CIFAR-10, whose images have
the same shape. The paper shows histograms only, in which all three are
likelier (AUROC below 0.5). Without `:small` it has the paper's size, for one GPU; not run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("real_nvp", "imagenet32", size)
