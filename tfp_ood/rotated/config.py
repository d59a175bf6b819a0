"""Typed config of the rotated digits: classifiers that are certain, and wrong.

Another kind of experiment than `config.Config`; a config file that has the key `experiment` is of
this kind. [1] Louizos & Welling, "Multiplicative Normalizing Flows for Variational Bayesian Neural
Networks", 2017.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from tfp_ood import options
from tfp_ood.config import DataConfig
from tfp_ood.options import ConfigError, one_of, option, untrained

NAME = "rotated_digits"

VARIANTS = ("softmax", "dropout", "ensemble", "flipout", "mnf")
"""Plain softmax, Monte Carlo dropout, deep ensemble, Flipout, multiplicative normalizing flows."""

NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class RotatedDataConfig(DataConfig):
    """Which digits are turned, and which foreign sets are judged."""

    in_distribution: str = "mnist"
    """A labelled set of ten classes."""
    out_of_distribution: tuple[str, ...] = option(("fashion_mnist",), trained=False)
    size_change: str = untrained(DataConfig, "size_change")
    channel_change: str = untrained(DataConfig, "channel_change")
    num_test: int = option(1000, low=0, trained=False)
    digits: tuple[int, ...] = option((3, 4, 7, 9), trained=False)
    """Classes whose test images are turned; each gets a figure. [1] shows a 3."""
    num_rotated: int = option(20, low=1, trained=False)
    """Test images of each of these classes, from the start of the test split."""
    digit_index: int = option(0, low=0, trained=False)
    """Which of them is drawn in the figure."""
    num_angles: int = option(37, low=3, trained=False)
    """Angles from 0 to 180 degrees, both included, at equal distances."""


@dataclasses.dataclass(frozen=True)
class LeNetConfig:
    """LeNet with the sizes of [1], and what makes it Bayesian."""

    variants: tuple[str, ...] = option(VARIANTS, trained=False)
    """Which to compare, "softmax" among them; may change after training."""
    num_filters: tuple[int, int] = (20, 50)
    """Channels of the two 5x5 convolutions."""
    num_hidden: int = option(500, low=2)
    """Units of the dense layer."""
    weight_decay: float = option(1e-4, low=0.0)
    """This times the sum of squared kernels is added to the loss of softmax, dropout, ensemble."""
    dropout_rate: float = option(0.5, low=0.0, high=0.99)
    """Share of values dropped before each dense layer, in training and in prediction."""
    ensemble_size: int = option(5, low=2)
    """Networks of the ensemble, the plain softmax one among them."""
    prior_scale: float = option(1.0, low=1e-6)
    """Standard deviation of the weights' Gaussian prior (flipout, mnf)."""
    num_couplings: int = option(2, low=1)
    """Coupling layers of each flow (mnf)."""
    flow_hidden: int = option(50, low=1)
    """Hidden units of each coupling's network (mnf)."""


@dataclasses.dataclass(frozen=True)
class LeNetTrainConfig:
    """Training with Adam."""

    batch_size: int = option(100, low=1)
    """Images per step."""
    num_epochs: int = option(3, low=1)
    """Passes over the training images: softmax, dropout and every member of the ensemble."""
    num_epochs_bayesian: int = option(4, low=1)
    """The same for flipout and mnf."""
    learning_rate: float = option(1e-3, low=1e-9, high=1.0)
    """The same at all steps."""
    kl_warmup: float = option(0.5, low=0.0, high=1.0)
    """Share of the training over which the KL's weight rises from 0 to 1 (flipout, mnf)."""


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """How predictive probabilities are estimated."""

    batch_size: int = option(500, low=1)
    """Images that are predicted together."""
    num_draws: int = option(50, low=1)
    """Draws of weights that probabilities are averaged over (dropout, flipout, mnf)."""


@dataclasses.dataclass(frozen=True)
class RotatedConfig:
    """The experiment."""

    experiment: str = option(NAME, choices=(NAME,))
    """Tells its configs from those of likelihood models."""
    data: RotatedDataConfig = RotatedDataConfig()
    model: LeNetConfig = LeNetConfig()
    train: LeNetTrainConfig = LeNetTrainConfig()
    evaluate: PredictConfig = option(PredictConfig(), trained=False)
    seed: int = option(0, low=0, high=2**31 - 1)
    """Of initial weights, the order of images and all draws."""

    def training_facts(self) -> dict[str, Any]:
        """All that the trained networks depend on; what they are asked afterwards may change."""
        return options.training_facts(self)

    def as_trained(self, facts: Mapping[str, Any]) -> "RotatedConfig":
        """This config with the `training_facts` of another one.

        Raises:
          ConfigError: they are no such facts.
        """
        return from_config_dict(options.as_trained(self, facts))


def defaults() -> ml_collections.ConfigDict:
    """The defaults as a ConfigDict, for a config file to change."""
    return ml_collections.ConfigDict(dataclasses.asdict(RotatedConfig()), convert_dict=True)


def from_config_dict(given: Mapping[str, Any]) -> RotatedConfig:
    """Checks every key, type and value.

    Raises:
      ConfigError: names the first thing that is wrong and what would be right.
    """
    if isinstance(given, ml_collections.ConfigDict):
        given = given.to_dict()
    config = options.build(RotatedConfig, given, "")
    _check_data(config.data)
    _check_model(config)
    return config


def describe_keys() -> Iterator[str]:
    """A line for every key: its default and what is valid."""
    for field in dataclasses.fields(RotatedConfig):
        yield from options.describe(RotatedConfig, field.name, field.default)


def _check_data(data: RotatedDataConfig) -> None:
    height, width, channels = data.image_shape
    if height != width or height < 16 or channels != 1:
        valid = "(size, size, 1) with size >= 16, for two 5x5 convolutions and poolings"
        raise ConfigError("data.image_shape", data.image_shape, valid)
    names = data.out_of_distribution
    if not names or len(set(names)) != len(names) or data.in_distribution in names:
        valid = "one or more different names, none of them the in-distribution set's"
        raise ConfigError("data.out_of_distribution", names, valid)
    digits = data.digits
    if not digits or len(set(digits)) != len(digits) or not set(digits) <= set(range(NUM_CLASSES)):
        valid = f"one or more different integers from 0 to {NUM_CLASSES - 1}"
        raise ConfigError("data.digits", digits, valid)
    if data.digit_index >= data.num_rotated:
        valid = f"less than config.data.num_rotated ({data.num_rotated})"
        raise ConfigError("data.digit_index", data.digit_index, valid)


def _check_model(config: RotatedConfig) -> None:
    model = config.model
    wrong = [name for name in model.variants if name not in VARIANTS]
    if wrong:
        raise ConfigError("model.variants", model.variants, one_of(VARIANTS, wrong[0]))
    if len(set(model.variants)) != len(model.variants) or "softmax" not in model.variants:
        valid = f"different names out of {', '.join(VARIANTS)}, softmax among them"
        raise ConfigError("model.variants", model.variants, valid)
    if min(model.num_filters) < 2:
        raise ConfigError("model.num_filters", model.num_filters, "two integers of at least 2")
