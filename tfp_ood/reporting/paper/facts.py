"""What Nalisnick et al. (2019) and others measured: figures with their source, and how sure we are.

The text of the paper was not at hand. Every entry says how it is known: `READ` in the source named,
`SECOND_HAND` as later texts quote it, or `RECALLED` from memory, which pages show as unverified.
What could only be recalled with low confidence is left out.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

READ, SECOND_HAND, RECALLED = "read", "second hand", "recalled"

STATUS = {
    READ: "read in the source",
    SECOND_HAND: "second hand",
    RECALLED: "unverified, recalled",
}
"""How an entry is known, in words."""

PAPER = "Nalisnick et al. 2019"


@dataclasses.dataclass(frozen=True)
class Number:
    """One measured figure."""

    quantity: str
    """`bits_per_dim` of the set judged, or a metric of likelihood as a detector of it."""
    model: str
    """Its kind, a key of `SETUPS`."""
    trained_on: str
    judged_on: str
    theirs: float
    status: str
    source: str


NUMBERS = (
    Number("bits_per_dim", "glow", "fashion_mnist", "fashion_mnist", 2.958, RECALLED, PAPER),
    Number("bits_per_dim", "glow", "fashion_mnist", "mnist", 1.833, RECALLED, PAPER),
    Number("bits_per_dim", "glow", "mnist", "mnist", 1.26, SECOND_HAND, PAPER),
    Number("bits_per_dim", "glow", "cifar10", "cifar10", 3.46, SECOND_HAND, PAPER),
    Number("bits_per_dim", "glow", "cifar10", "svhn_cropped", 2.39, SECOND_HAND, PAPER),
    Number("bits_per_dim", "glow", "svhn_cropped", "svhn_cropped", 2.057, RECALLED, PAPER),
    Number("auroc", "glow", "cifar10", "svhn_cropped", 0.064, SECOND_HAND,
           "Morningstar et al. 2021"),
    Number("auroc", "pixel_cnn", "cifar10", "svhn_cropped", 0.158, READ,
           "Hendrycks et al. 2019, table 5 (PixelCNN++)"),
    Number("fpr95", "pixel_cnn", "cifar10", "svhn_cropped", 0.988, READ,
           "Hendrycks et al. 2019, table 5 (PixelCNN++)"),
    Number("auroc", "pixel_cnn", "cifar10", "svhn_cropped", 0.095, RECALLED,
           "Ren et al. 2019 (PixelCNN++)"),
    Number("auroc", "pixel_cnn", "fashion_mnist", "mnist", 0.089, RECALLED,
           "Ren et al. 2019 (PixelCNN++)"),
    Number("auroc", "vae", "cifar10", "svhn_cropped", 0.08, READ,
           "LPath (2024-25 submission), ELBO"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Setup:
    """The paper's model and training of one kind, as far as they are known."""

    words: str
    gray: Mapping[str, Any]
    """Key of a config -> value, for images of 28x28x1."""
    color: Mapping[str, Any]
    """The same for 32x32x3."""
    differs: str
    """What is not in a config and differs from ours, or is not known."""


_TRAIN = {"train.optimizer": "rmsprop", "train.batch_size": 32}
_GLOW = Setup(
    "Glow; sizes recalled, and the same in the repository of Kirichenko et al. 2020",
    {"model.num_levels": 2, "model.num_steps": 16, "model.num_hidden": 200,
     **_TRAIN, "train.num_steps": 100_000},
    {"model.num_levels": 3, "model.num_steps": 8, "model.num_hidden": 400,
     **_TRAIN, "train.num_steps": 200_000},
    "the paper's couplings are highway networks, without actnorm as far as recalled; ours have "
    "three convolutions, and actnorm between couplings and after hidden layers, as Glow's "
    "published code, which has no floor of the scales of couplings and split prior, where ours "
    "have one",
)  # fmt: skip
_PIXEL_CNN = {"model.output": "categorical", **_TRAIN, "train.num_steps": 100_000}
_VAE = {"model.num_filters": 8, "model.decoder": "categorical", "train.optimizer": "rmsprop",
        "train.num_steps": 200_000}  # fmt: skip
SETUPS = {
    "glow": _GLOW,
    "glow_constant_volume": dataclasses.replace(
        _GLOW, words="Glow with additive couplings; sizes as of Glow, recalled"
    ),
    "pixel_cnn": Setup(
        "gated PixelCNN with a 256-way softmax; recalled",
        {"model.num_layers": 5, "model.num_filters": 32, **_PIXEL_CNN},
        {"model.num_layers": 15, "model.num_filters": 128, **_PIXEL_CNN},
        "ours has weight normalization, and two last layers for each colour; masks between the "
        "colours of a pixel are in all layers before, as published",
    ),
    "vae": Setup(
        "VAE of Rosca et al. 2018 with a 256-way softmax; recalled",
        _VAE,
        _VAE,
        "the paper's number of latents, and whether it took the ELBO or importance samples, are "
        "not known",
    ),
}  # fmt: skip
"""Kind of model -> what the paper trained. Of RealNVP nothing is known."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that the paper shows, in words."""

    says: str
    status: str
    source: str
    caveat: str = ""


FINDINGS = {
    "foreign_likelier": Finding(
        "Foreign images get higher likelihood than the model's own test images: FashionMNIST -> "
        "MNIST, CIFAR-10 -> SVHN, CelebA -> SVHN, ImageNet -> CIFAR-10, CIFAR-100, SVHN; by Glow, "
        "PixelCNN (more weakly) and VAE.",
        READ,
        f"{PAPER}, abstract; that PixelCNN is weaker is second hand",
    ),
    "reverse": Finding(
        "The reverse direction does not fail: trained on SVHN, CIFAR-10 is unlikelier.",
        SECOND_HAND,
        PAPER,
        "For MNIST -> FashionMNIST nothing is quoted; it is shown beside.",
    ),
    "volume": Finding(
        "Of the two terms of Glow's likelihood, the volume term carries most of what foreign "
        "images have more.",
        SECOND_HAND,
        f"{PAPER}, CIFAR-10 -> SVHN",
    ),
    "constant_volume": Finding(
        "With a volume that is the same for every image foreign images are likelier still.",
        READ,
        f"{PAPER}, abstract, CIFAR-10 -> SVHN",
    ),
    "second_order": Finding(
        "From the variances of both sets and the 1x1 kernels alone, foreign images with smaller "
        "variances are predicted to be likelier, whatever the weights.",
        RECALLED,
        f"{PAPER}, section 5",
        "The logic is second hand, the formula recalled. The prediction is compared by its sign.",
    ),
    "contrast": Finding(
        "Images with less variance, 'grayed', are likelier.",
        RECALLED,
        PAPER,
    ),
    "constant": Finding(
        "Constant images are the likeliest of all, noise the unlikeliest.",
        SECOND_HAND,
        f"{PAPER}; that noise is unlikeliest is recalled",
        "Compared with the model's own test images: of gray levels by the median.",
    ),
    "ensemble": Finding(
        "Ensembles do not help.",
        SECOND_HAND,
        f"{PAPER}; WAIC of five Glows re-run by Morningstar et al. 2021: AUROC 0.143 for "
        "CIFAR-10 -> SVHN, where its authors had claimed 1.000 (recalled)",
    ),
}
"""Name -> finding, in the order of a page."""

NOT_COMPARED = (
    "Likelihoods of training images and figures of low confidence (bits/dim of constant and random "
    "images) are left out. CelebA and ImageNet pairs, PixelCNN and VAE are histograms only in the "
    "paper, as far as recalled, and compared by direction."
)
