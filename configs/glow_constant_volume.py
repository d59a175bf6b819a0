"""Constant-volume Glow on a pair of the paper's image sets: additive couplings only.

  python main.py --config=configs/glow_constant_volume.py:fashion_mnist,small --workdir=runs/glow_cv

The volume term is the same for every image, so that it cannot be what prefers the foreign set.
After the file's name: one of the pairs of configs/paper.py (fashion_mnist if nothing is said), and
`small` for two cores; without it the paper's size, for one GPU, which has not been run.

Small, on two cores: fashion_mnist, judged on MNIST, 6 minutes of training, FashionMNIST 5.32 and
MNIST 4.92 bits/dim, AUROC 0.36; cifar10, judged on SVHN, after 300 of its steps (2 minutes) 4.61
and 4.00, AUROC 0.03. Not run: celeb_a and imagenet32.
"""

import ml_collections

from tfp_ood.experiments import arguments, experiment


def get_config(words: str = "fashion_mnist") -> ml_collections.ConfigDict:
    """The experiment that `words` name: PAIR or PAIR,SIZE."""
    pair, size = arguments(words, "PAIR")
    config = experiment("glow", pair, size)
    config.model.coupling = "additive"
    if size == "small":
        config.train.learning_rate = 3e-3  # with which the figures above were measured
    return config
