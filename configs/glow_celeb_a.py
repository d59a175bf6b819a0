"""Glow on CelebA, judged on SVHN (Nalisnick et al., 2019).

  python main.py --config=configs/glow_celeb_a.py:small --workdir=runs/glow_celeb_a

Not run on this pair. Small takes 5 minutes of training on two cores for CIFAR-10, whose images have
the same shape. The paper shows histograms only, in which SVHN is
likelier (AUROC below 0.5). Without `:small` it has the paper's size, for one GPU; not run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("glow", "celeb_a", size)
