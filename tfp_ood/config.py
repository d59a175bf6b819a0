"""Typed, validated configuration of an experiment.

A config file in `configs/` starts from `defaults(family)` and states what differs;
`from_config_dict` turns the result into frozen dataclasses, or raises `ConfigError`, before work.
This module imports nothing heavy: a wrong flag must be refused in a second.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_collections

from tfp_ood.errors import UserError


class ConfigError(UserError, ValueError):
    """A wrong value, in one sentence: the key, what was given and what is valid."""

    def __init__(self, key: str, *given_and_valid: Any):
        # ml_collections raises what a config file raised again, with all it has to say as the
        # only argument.
        message = key
        if given_and_valid:
            given, valid = given_and_valid
            message = f"config.{key}: got {given!r}; valid is {valid}."
        super().__init__(message)


class UnknownKeyError(ConfigError):
    """A key that does not exist."""

    def __init__(self, key: str, names: Iterable[str], part: str):
        valid = _one_of(names, part)
        UserError.__init__(self, f"config.{key}: there is no such key; valid is {valid}.")


def _option(
    default: Any,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A dataclass field with the values it may take (bounds are inclusive)."""
    metadata = {"choices": choices, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how every set is brought to the one shape of the model."""

    in_distribution: str = "fashion_mnist"
    """A name of the data set table, `folder:PATH`, `array:PATH.npy`, `noise` or `constant`."""
    out_of_distribution: tuple[str, ...] = ("mnist",)
    """What to judge against; may change after training (only new sets are then scored)."""
    image_shape: tuple[int, int, int] = (28, 28, 1)
    """Height, width and channels (1 or 3) of the images the model sees."""
    size_change: str = _option("error", choices=("error", "resize", "crop", "pad"))
    """For images of another size: refuse them; resize (area down, bilinear up); centre-crop to
    the aspect ratio, then resize; or pad with black around the centre."""
    channel_change: str = _option("error", choices=("error", "convert"))
    """For images of another channel count: refuse them, or convert (gray repeated, or luma)."""
    num_validation: int = _option(1000, low=1)
    """Images held out from the end of the training split for validation."""
    num_test: int = _option(0, low=0)
    """Images to score of every test split, from its start; 0 for all."""


@dataclasses.dataclass(frozen=True)
class GlowConfig:
    """Glow (Kingma & Dhariwal, 2018)."""

    family: str = _option("glow", choices=("glow",))
    num_levels: int = _option(2, low=1, high=8)
    """Scales; height and width must divide by 2**num_levels."""
    num_steps: int = _option(8, low=1)
    """Flow steps (actnorm, 1x1 convolution, coupling) per level."""
    num_hidden: int = _option(64, low=1)
    """Channels of the hidden layers of each coupling network."""
    coupling: str = _option("affine", choices=("affine", "additive"))
    """`additive` keeps the volume constant over images: the paper's constant-volume Glow."""
    num_classes: int = _option(0, low=0)
    """Classes whose labels condition the latents' prior; 0 for none. With classes, log_prob
    is of the mixture of all of them and p(y|x) is told by Bayes' rule."""


@dataclasses.dataclass(frozen=True)
class RealNVPConfig:
    """RealNVP (Dinh et al., 2017)."""

    family: str = _option("real_nvp", choices=("real_nvp",))
    num_levels: int = _option(2, low=1, high=8)
    """Scales; height and width must divide by 2**num_levels."""
    num_couplings: int = _option(3, low=2)
    """Couplings of each kind of mask (checkerboard, channels) per level."""
    num_blocks: int = _option(2, low=1)
    """Residual blocks of each coupling network."""
    num_hidden: int = _option(32, low=1)
    """Channels of the residual blocks."""
    normalization: str = _option("actnorm", choices=("actnorm", "batch_norm"))
    """What follows each coupling."""


@dataclasses.dataclass(frozen=True)
class PixelCNNConfig:
    """PixelCNN++ (Salimans et al., 2017), or gated PixelCNN (van den Oord et al., 2016)."""

    family: str = _option("pixel_cnn", choices=("pixel_cnn",))
    output: str = _option("logistic_mixture", choices=("logistic_mixture", "categorical"))
    """`logistic_mixture` is PixelCNN++; `categorical` is the paper's 256-way softmax on a stack of
    gated layers."""
    num_hierarchies: int = _option(2, low=1, high=6)
    """Resolutions (PixelCNN++ only); height and width must divide by 2**(num_hierarchies - 1)."""
    num_layers: int = _option(1, low=1)
    """Gated residual layers: per resolution (PixelCNN++), or in all (categorical)."""
    num_filters: int = _option(32, low=1)
    num_mixtures: int = _option(5, low=1)
    """Logistics per pixel."""
    dropout: float = _option(0.0, low=0.0, high=0.9)
    """Share of hidden values that are dropped in training."""


@dataclasses.dataclass(frozen=True)
class VAEConfig:
    """A convolutional variational autoencoder (Kingma & Welling, 2014)."""

    family: str = _option("vae", choices=("vae",))
    num_latents: int = _option(50, low=1)
    """Dimensions of the latent vector."""
    num_filters: int = _option(16, low=1)
    """Channels of the first convolution, and of the decoder's last; the paper's 8."""
    decoder: str = _option("categorical", choices=("categorical", "logistic"))
    """Likelihood of a pixel: a 256-way softmax, or a discretized logistic."""
    prior: str = _option("gaussian", choices=("gaussian", "mixture"))
    """Standard normal, or a learned mixture of Gaussians."""
    kl_warmup_steps: int = _option(0, low=0)
    """Steps over which the KL's weight rises linearly to 1."""
    free_bits: float = _option(0.0, low=0.0)
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

    batch_size: int = _option(64, low=1)
    """Images per step over all replicas."""
    num_steps: int = _option(10_000, low=1)
    steps_per_epoch: int = _option(500, low=1)
    """Steps between validations and backups."""
    optimizer: str = _option("adam", choices=("adam", "adamax", "rmsprop"))
    learning_rate: float = _option(1e-3, low=1e-9, high=1.0)
    warmup_steps: int = _option(200, low=0)
    """Steps over which the learning rate rises linearly from 0."""
    decay: str = _option("cosine", choices=("cosine", "constant"))
    """What the learning rate does after the warm-up (cosine: to 0 at the last step)."""
    clip_norm: float = _option(100.0, low=0.0)
    """Global gradient norm above which gradients are scaled down; 0 for never."""
    ema_momentum: float = _option(0.99, low=0.0, high=0.99999)
    """Exponential moving average of weights used for validation and evaluation; 0 for none."""
    xla: str = _option("auto", choices=("auto", "on", "off"))
    """Compile the step with XLA; `auto` is on for GPUs and off for CPUs."""
    precision: str = _option("float32", choices=("float32", "mixed_bfloat16"))
    """Arithmetic of the networks; log-dets and likelihoods are float32 always."""


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """How likelihoods are estimated for the score tables."""

    batch_size: int = _option(250, low=1)
    num_draws: int = _option(1, low=1)
    """Draws per image, averaged in log space: S of dequantization noise for flows, K of latents
    for VAEs; exact families need none."""


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """The grid of samples in the report."""

    num_images: int = _option(64, low=1)
    temperature: float = _option(1.0, low=0.0)
    """Scale of the latent's standard deviation, or of the logistics' (PixelCNN)."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    data: DataConfig = DataConfig()
    model: ModelConfig = GlowConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    sample: SampleConfig = SampleConfig()
    seed: int = _option(0, low=0, high=2**31 - 1)

    def training_facts(self) -> dict[str, Any]:
        """All that a trained model depends on; what it is judged against may change later."""
        facts = dataclasses.asdict(self)
        del facts["evaluate"], facts["sample"]
        for key in ("out_of_distribution", "num_test"):
            del facts["data"][key]
        return facts


def defaults(family: str) -> ml_collections.ConfigDict:
    """The defaults of a model family as a ConfigDict, for a config file to change."""
    if family not in MODEL_CONFIGS:
        raise ConfigError("model.family", family, _one_of(MODEL_CONFIGS, family))
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
        raise ConfigError("model.family", family, _one_of(MODEL_CONFIGS, family))
    config = _build(Config, given, "", {"model": MODEL_CONFIGS[family]})
    _check_together(config)
    return config


def valid_values(key: str, family: str) -> str:
    """Words for what `config.<key>` may be, such as "an integer of at least 1".

    Raises:
      ConfigError: there is no such key for this family of models.
    """
    cls, name = _find(key, family)
    hint, metadata = typing.get_type_hints(cls)[name], _fields(cls)[name].metadata
    if dataclasses.is_dataclass(hint):
        return "a group of keys"
    if typing.get_origin(hint) is tuple:
        return _describe_tuple(hint)
    # Of the model, whose class depends on its family, the hint is a union of classes.
    return "a group of keys" if typing.get_args(hint) else _describe(hint, metadata)


def describe_keys() -> Iterator[str]:
    """A line for every key: its default and what is valid; model keys for every family."""
    for group in dataclasses.fields(Config):
        if group.name == "model":
            for family, cls in MODEL_CONFIGS.items():
                for line in _describe_group("model", cls(), family):
                    yield line if line.startswith("model.family") else f"{line} [{family}]"
        elif dataclasses.is_dataclass(group.default):
            yield from _describe_group(group.name, group.default, "glow")
        else:
            yield f"{group.name}={group.default!r}: {valid_values(group.name, 'glow')}"


def _describe_group(name: str, value: Any, family: str) -> Iterator[str]:
    for field in dataclasses.fields(value):
        key = f"{name}.{field.name}"
        yield f"{key}={getattr(value, field.name)!r}: {valid_values(key, family)}"


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A short hash that is equal exactly when the facts are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _fields(cls: type) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(cls)}


def _find(key: str, family: str) -> tuple[type, str]:
    """The dataclass that has the last part of a dotted key, and that part."""
    cls, (*groups, last) = Config, key.split(".")
    for part in (*groups, last):
        if not dataclasses.is_dataclass(cls) or part not in _fields(cls):
            names = _fields(cls) if dataclasses.is_dataclass(cls) else ()
            raise UnknownKeyError(key, names, part)
        owner = cls
        is_model = cls is Config and part == "model"
        cls = MODEL_CONFIGS[family] if is_model else typing.get_type_hints(cls)[part]
    return owner, last


def _build(cls: type, given: Any, prefix: str, classes: Mapping[str, type] | None = None) -> Any:
    """An instance of the dataclass `cls` from a mapping, recursively."""
    if not isinstance(given, Mapping):
        raise ConfigError(prefix.rstrip("."), given, "a group of keys")
    hints = typing.get_type_hints(cls)
    fields = _fields(cls)
    for key in given:
        if key not in fields:
            raise UnknownKeyError(f"{prefix}{key}", fields, key)
    values = {}
    for name, value in given.items():
        hint = (classes or {}).get(name, hints[name])
        if dataclasses.is_dataclass(hint):
            values[name] = _build(hint, value, f"{prefix}{name}.")
        else:
            values[name] = _check_value(f"{prefix}{name}", value, hint, fields[name].metadata)
    return cls(**values)


def _check_value(key: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The value in its declared type, or a ConfigError."""
    if typing.get_origin(hint) is tuple:
        return _check_tuple(key, value, hint)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(key, value, _describe(hint, metadata))
    choices, low, high = (metadata.get(k) for k in ("choices", "low", "high"))
    if choices and value not in choices:
        raise ConfigError(key, value, _one_of(choices, value))
    too_low = low is not None and not value >= low  # also true for NaN
    too_high = high is not None and not value <= high
    if too_low or too_high or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(key, value, _describe(hint, metadata))
    return value


def _check_tuple(key: str, value: Any, hint: Any) -> tuple[Any, ...]:
    kinds = typing.get_args(hint)
    right_kind = isinstance(value, tuple | list) and all(type(v) is kinds[0] for v in value)
    if not right_kind or (kinds[-1] is not Ellipsis and len(value) != len(kinds)):
        raise ConfigError(key, value, _describe_tuple(hint))
    return tuple(value)


def _describe_tuple(hint: Any) -> str:
    kinds = typing.get_args(hint)
    number = "any number of" if kinds[-1] is Ellipsis else len(kinds)
    return f"a tuple of {number} {'integers' if kinds[0] is int else 'texts'}"


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
    names = config.data.out_of_distribution
    if len(set(names)) != len(names) or config.data.in_distribution in names:
        valid = "different names, none of them the in-distribution set's"
        raise ConfigError("data.out_of_distribution", names, valid)


def _num_halvings(size: int) -> int:
    return (size & -size).bit_length() - 1


def _describe(hint: type, metadata: Mapping[str, Any]) -> str:
    """Words for a type with its bounds: "an integer of at least 1"."""
    words = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}[hint]
    low, high = metadata.get("low"), metadata.get("high")
    if metadata.get("choices"):
        return _one_of(metadata["choices"])
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    return words if low is None else f"{words} of at least {low}"


def _one_of(names: Iterable[str], given: Any = None) -> str:
    """The valid names, with the closest to the given one as a hint."""
    names = list(names)
    close = difflib.get_close_matches(given, names, n=1) if isinstance(given, str) else []
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"one of {', '.join(names)}{hint}"
