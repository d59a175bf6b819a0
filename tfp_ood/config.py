"""Typed, validated configuration of an experiment.

A config file in `configs/` starts from `defaults(family)` and states what differs;
`from_config_dict` turns the result into frozen dataclasses, or raises `ConfigError`, before work.
This module imports nothing heavy: a wrong flag must be refused in a second.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from tfp_ood import options
from tfp_ood.options import ConfigError, build, describe_group, one_of, option


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how every set is brought to the one shape of the model."""

    in_distribution: str = "fashion_mnist"
    """A name of the data set table, `folder:PATH`, `array:PATH.npy`, `noise` or `constant`."""
    out_of_distribution: tuple[str, ...] = ("mnist",)
    """What to judge against; may change after training (only new sets are then scored)."""
    image_shape: tuple[int, int, int] = (28, 28, 1)
    """Height, width and channels (1 or 3) of the images the model sees."""
    size_change: str = option("error", choices=("error", "resize", "crop", "pad"))
    """For images of another size: refuse them; resize (area down, bilinear up); centre-crop to
    the aspect ratio, then resize; or pad with black around the centre."""
    channel_change: str = option("error", choices=("error", "convert"))
    """For images of another channel count: refuse them, or convert (gray repeated, or luma)."""
    unreadable: str = option("error", choices=("error", "skip"))
    """For files of folders that cannot be read as images: refuse the folder, or leave them out and
    list them."""
    num_validation: int = option(1000, low=1)
    """Images held out from the end of the training split for validation."""
    num_test: int = option(0, low=0)
    """Images to score of every test split, from its start; 0 for all."""


@dataclasses.dataclass(frozen=True)
class GlowConfig:
    """Glow (Kingma & Dhariwal, 2018)."""

    family: str = option("glow", choices=("glow",))
    num_levels: int = option(2, low=1, high=8)
    """Scales; height and width must divide by 2**num_levels."""
    num_steps: int = option(8, low=1)
    """Flow steps (actnorm, 1x1 convolution, coupling) per level."""
    num_hidden: int = option(64, low=1)
    """Channels of the hidden layers of each coupling network."""
    coupling: str = option("affine_sigmoid", choices=("affine_sigmoid", "affine", "additive"))
    """What a step does to half of the channels. `affine_sigmoid`: shift and scale them, hardly
    enlarging any, as Glow's published code; `affine`: scale by up to e^2 as RealNVP, with which
    the loss may jump; `additive`: shift them, which keeps the volume constant over images, for the
    paper's constant-volume Glow."""
    num_classes: int = option(0, low=0)
    """Classes whose labels condition the latents' prior; 0 for none. With classes, log_prob
    is of the mixture of all of them and p(y|x) is told by Bayes' rule."""


@dataclasses.dataclass(frozen=True)
class RealNVPConfig:
    """RealNVP (Dinh et al., 2017)."""

    family: str = option("real_nvp", choices=("real_nvp",))
    num_levels: int = option(2, low=1, high=8)
    """Scales; height and width must divide by 2**num_levels."""
    num_couplings: int = option(3, low=2)
    """Couplings of each kind of mask (checkerboard, channels) per level."""
    num_blocks: int = option(2, low=1)
    """Residual blocks of each coupling network."""
    num_hidden: int = option(32, low=1)
    """Channels of the residual blocks."""
    normalization: str = option("actnorm", choices=("actnorm", "batch_norm"))
    """What follows each coupling."""


@dataclasses.dataclass(frozen=True)
class PixelCNNConfig:
    """PixelCNN++ (Salimans et al., 2017), or gated PixelCNN (van den Oord et al., 2016)."""

    family: str = option("pixel_cnn", choices=("pixel_cnn",))
    output: str = option("logistic_mixture", choices=("logistic_mixture", "categorical"))
    """`logistic_mixture` is PixelCNN++; `categorical` is the paper's 256-way softmax on a stack of
    gated layers."""
    num_hierarchies: int = option(2, low=1, high=6)
    """Resolutions (PixelCNN++ only); height and width must divide by 2**(num_hierarchies - 1)."""
    num_layers: int = option(1, low=1)
    """Gated residual layers: per resolution (PixelCNN++), or in all (categorical)."""
    num_filters: int = option(32, low=1)
    num_mixtures: int = option(5, low=1)
    """Logistics per pixel."""
    dropout: float = option(0.0, low=0.0, high=0.9)
    """Share of hidden values that are dropped in training."""


@dataclasses.dataclass(frozen=True)
class VAEConfig:
    """A convolutional variational autoencoder (Kingma & Welling, 2014)."""

    family: str = option("vae", choices=("vae",))
    num_latents: int = option(50, low=1)
    """Dimensions of the latent vector."""
    num_filters: int = option(16, low=1)
    """Channels of the first convolution, and of the decoder's last; the paper's 8."""
    decoder: str = option("categorical", choices=("categorical", "logistic"))
    """Likelihood of a pixel: a 256-way softmax, or a discretized logistic."""
    prior: str = option("gaussian", choices=("gaussian", "mixture"))
    """Standard normal, or a learned mixture of Gaussians."""
    kl_warmup_steps: int = option(0, low=0)
    """Steps over which the KL's weight rises linearly to 1."""
    free_bits: float = option(0.0, low=0.0)
    """Nats of KL per latent dimension that cost nothing in training."""


MODEL_CONFIGS = {
    "glow": GlowConfig,
    "real_nvp": RealNVPConfig,
    "pixel_cnn": PixelCNNConfig,
    "vae": VAEConfig,
}

ModelConfig = GlowConfig | RealNVPConfig | PixelCNNConfig | VAEConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The one training loop that all families share."""

    batch_size: int = option(64, low=1)
    """Images per step over all replicas."""
    num_steps: int = option(10_000, low=1)
    steps_per_epoch: int = option(500, low=1)
    """Steps between validations and backups."""
    optimizer: str = option("adam", choices=("adam", "adamax", "rmsprop"))
    learning_rate: float = option(1e-3, low=1e-9, high=1.0)
    warmup_steps: int = option(200, low=0)
    """Steps over which the learning rate rises linearly from 0."""
    decay: str = option("cosine", choices=("cosine", "constant", "steps"))
    """What the learning rate does after the warm-up. `cosine`: to 0 at the last step; `steps`: a
    third of it remains after 80 % of the steps, a ninth after 90 % (without a warm-up)."""
    clip_norm: float = option(100.0, low=0.0)
    """Global gradient norm above which gradients are scaled down; 0 for never."""
    ema_momentum: float = option(0.99, low=0.0, high=0.99999)
    """Exponential moving average of weights used for validation and evaluation; 0 for none."""
    xla: str = option("auto", choices=("auto", "on", "off"))
    """Compile the step with XLA; `auto` is on for GPUs and off for CPUs."""
    precision: str = option("float32", choices=("float32", "mixed_bfloat16"))
    """Arithmetic of the networks; log-dets and likelihoods are float32 always."""
    strategy: str = option("auto", choices=("auto", "single", "mirrored", "multi_worker"))
    """Where the training runs, which does not change what is trained. `single`: on one device;
    `mirrored`: on all GPUs of this machine; `multi_worker`: in the processes that the environment
    variable TF_CONFIG names; `auto`: whichever there is more of."""
    memory_growth: bool = True
    """Take the memory of GPUs as it is needed, so that others may use them too, and not at once."""


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """How likelihoods are estimated for the score tables."""

    batch_size: int = option(250, low=1)
    num_draws: int = option(1, low=1)
    """Draws per image, averaged in log space: S of dequantization noise for flows, K of latents
    for VAEs; exact families need none."""
    num_watched: int = option(250, low=0)
    """Images of every set, at most, that are scored at every checkpoint of the training too, with
    one draw: the likelihood over training; 0 for none."""


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """The grid of samples in the report."""

    num_images: int = option(64, low=1)
    temperature: float = option(1.0, low=0.0)
    """Scale of the latent's standard deviation, or of the logistics' (PixelCNN)."""


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """The guard that is exported with the model."""

    false_alarm_rate: float = option(0.05, low=1e-6, high=0.5)
    """Share of in-distribution images that the guard may flag; a rate r needs at least 2/r - 1
    validation images."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    data: DataConfig = DataConfig()
    model: ModelConfig = GlowConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    sample: SampleConfig = SampleConfig()
    export: ExportConfig = ExportConfig()
    seed: int = option(0, low=0, high=2**31 - 1)

    def training_facts(self) -> dict[str, Any]:
        """All that a trained model depends on; what it is judged against may change later."""
        facts = dataclasses.asdict(self)
        for key in ("evaluate", "sample", "export"):
            del facts[key]
        for key in ("strategy", "memory_growth"):  # a run may be resumed on other devices
            del facts["train"][key]
        for key in ("out_of_distribution", "num_test"):
            del facts["data"][key]
        if self.data.unreadable == "error":  # as before there was this key: such runs go on
            del facts["data"]["unreadable"]
        return facts

    def as_trained(self, facts: Mapping[str, Any]) -> "Config":
        """This config with the `training_facts` of another one.

        Raises:
          ConfigError: they are no such facts.
        """
        values = dataclasses.asdict(self)
        del values["model"]  # whose keys depend on the family
        values["data"]["unreadable"] = "error"  # which the facts leave out
        return from_config_dict(options.merged(values, facts))


def defaults(family: str) -> ml_collections.ConfigDict:
    """The defaults of a model family as a ConfigDict, for a config file to change."""
    if family not in MODEL_CONFIGS:
        raise ConfigError("model.family", family, one_of(MODEL_CONFIGS, family))
    return to_config_dict(Config(model=MODEL_CONFIGS[family]()))


def to_config_dict(config: Config) -> ml_collections.ConfigDict:
    """The same configuration as a (mutable, untyped) ConfigDict."""
    return ml_collections.ConfigDict(dataclasses.asdict(config), convert_dict=True)


def from_config_dict(given: Mapping[str, Any]) -> Config:
    """Checks every key, type and value.

    Raises:
      ConfigError: names the first thing that is wrong and what would be right.
    """
    if isinstance(given, ml_collections.ConfigDict):
        given = given.to_dict()
    model = given.get("model", {})
    family = model.get("family", "glow") if isinstance(model, Mapping) else "glow"
    if family not in MODEL_CONFIGS:
        raise ConfigError("model.family", family, one_of(MODEL_CONFIGS, family))
    config = build(Config, given, "", {"model": MODEL_CONFIGS[family]})
    _check_together(config)
    return config


def valid_values(key: str, family: str) -> str:
    """Words for what `config.<key>` may be, such as "an integer of at least 1".

    Raises:
      ConfigError: there is no such key for this family of models.
    """
    return options.valid_values(Config, key, {"model": MODEL_CONFIGS[family]})


def describe_keys() -> Iterator[str]:
    """A line for every key: its default and what is valid; model keys for every family."""
    for group in dataclasses.fields(Config):
        if group.name == "model":
            for family, cls in MODEL_CONFIGS.items():
                for line in describe_group(Config, "model", cls(), {"model": cls}):
                    yield line if line.startswith("model.family") else f"{line} [{family}]"
        elif dataclasses.is_dataclass(group.default):
            yield from describe_group(Config, group.name, group.default)
        else:
            yield f"{group.name}={group.default!r}: {valid_values(group.name, 'glow')}"


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A short hash that is equal exactly when the facts are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _check_together(config: Config) -> None:
    """Checks that concern more than one value."""
    height, width, channels = config.data.image_shape
    if min(height, width) < 1 or channels not in (1, 3):
        valid = "(height, width, channels) with height, width >= 1 and 1 or 3 channels"
        raise ConfigError("data.image_shape", config.data.image_shape, valid)
    levels = getattr(config.model, "num_levels", 0)
    if height % 2**levels or width % 2**levels:
        most = _num_halvings(math.gcd(height, width))
        valid = f"at most {most} for images of {height}x{width}, which are halved at every level"
        raise ConfigError("model.num_levels", levels, valid)
    hierarchies = getattr(config.model, "num_hierarchies", 1)
    most = 1 + _num_halvings(math.gcd(height, width))
    if hierarchies > most and config.model.output == "logistic_mixture":
        valid = f"at most {most} for images of {height}x{width}, which are halved between them"
        raise ConfigError("model.num_hierarchies", hierarchies, valid)
    train = config.train
    if train.num_steps % min(train.steps_per_epoch, train.num_steps):
        valid = f"a divisor of config.train.num_steps ({train.num_steps})"
        raise ConfigError("train.steps_per_epoch", train.steps_per_epoch, valid)
    if train.warmup_steps >= train.num_steps:
        valid = f"fewer than config.train.num_steps ({train.num_steps})"
        raise ConfigError("train.warmup_steps", train.warmup_steps, valid)
    if train.decay == "steps" and train.warmup_steps:
        raise ConfigError("train.warmup_steps", train.warmup_steps, "0 with train.decay=steps")
    names = config.data.out_of_distribution
    if len(set(names)) != len(names) or config.data.in_distribution in names:
        valid = "different names, none of them the in-distribution set's"
        raise ConfigError("data.out_of_distribution", names, valid)


def _num_halvings(size: int) -> int:
    return (size & -size).bit_length() - 1
