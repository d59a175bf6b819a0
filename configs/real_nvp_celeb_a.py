"""RealNVP on CelebA, judged on SVHN (Nalisnick et al., 2019).

  python main.py --config=configs/real_nvp_celeb_a.py:small --workdir=runs/real_nvp_celeb_a

The small size has not been run on this pair. Without `:small` it has the paper's size, for one GPU,
which has not been run.
"""

import ml_collections

from tfp_ood.experiments import experiment


def get_config(size: str = "paper") -> ml_collections.ConfigDict:
    """The experiment."""
    return experiment("real_nvp", "celeb_a", size)
