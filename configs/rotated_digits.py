"""Rotated digits: a classifier is certain and wrong, its Bayesian kin are less certain.

python main.py --config=configs/rotated_digits.py --workdir=runs/rotated
"""

import ml_collections

from tfp_ood.rotated_config import defaults


def get_config() -> ml_collections.ConfigDict:
    """The experiment."""
    return defaults()
