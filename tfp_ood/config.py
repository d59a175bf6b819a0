"""Typed, validated configuration of an experiment.

A config file in `configs/` starts from `defaults(family)` and states what differs;
`from_config_dict` turns the result into frozen dataclasses, or raises `ConfigError`, before work.
This module imports nothing heavy: a wrong flag must be refused in a second.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import ml_collections

from tfp_ood import options, paths
from tfp_ood.families import (
    MODEL_CONFIGS,
    GlowConfig,
    ModelConfig,
    PixelCNNConfig,  # noqa: F401 (beside the other groups, for whoever builds a `Config`)
    RealNVPConfig,  # noqa: F401
    VAEConfig,  # noqa: F401
    model_class,
)
from tfp_ood.options import ConfigError, build, option


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how every set is brought to the one shape of the model."""

    in_distribution: str = "fashion_mnist"
    """A name of the data set table, `folder:PATH`, `array:PATH.npy`, `noise` or `constant`. Runs
    keep paths as absolute ones."""
    out_of_distribution: tuple[str, ...] = option(("mnist",), trained=False)
    """What to judge against; may change after training (only new sets are then scored)."""
    image_shape: tuple[int, int, int] = (28, 28, 1)
    """Height, width and channels (1 or 3) of the images the model sees."""
    size_change: str = option("error", choices=("error", "resize", "crop", "pad"))
    """For images of another size: refuse them; resize (area down, bilinear up); centre-crop to
    the aspect ratio, then resize; or pad with black around the centre."""
    channel_change: str = option("error", choices=("error", "convert"))
    """For images of another channel count: refuse them, or convert (gray repeated, or luma)."""
    unreadable: str = option("error", choices=("error", "skip"), trained=False)
    """For files of folders that cannot be read as images: refuse the folder, or leave them out and
    list them. May change after training, whose images may not."""
    num_validation: int = option(1000, low=1)
    """Images held out from the end of the training split for validation; of folders and arrays at
    most a tenth; of fewer than 400 images up to 40, but at most a quarter."""
    num_test: int = option(0, low=0, trained=False)
    """Images to score of every test split, one fixed random choice; 0 for all."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The one training loop that all families share."""

    batch_size: int = option(64, low=1)
    """Images per step over all replicas."""
    num_steps: int = option(10_000, low=1)
    """Batches to train on."""
    steps_per_epoch: int = option(500, low=1)
    """Steps between validations and backups."""
    optimizer: str = option("adam", choices=("adam", "adamax", "rmsprop"))
    """Whose other settings are Keras's defaults."""
    learning_rate: float = option(1e-3, low=1e-9, high=1.0)
    """The highest, after the warm-up."""
    warmup_steps: int = option(200, low=0)
    """Steps over which the learning rate rises linearly from 0."""
    decay: str = option("cosine", choices=("cosine", "constant", "steps"))
    """What the learning rate does after the warm-up. `cosine`: to 0 at the last step; `steps`: a
    third of it remains after 80 % of the steps, a ninth after 90 % (without a warm-up)."""
    clip_norm: float = option(100.0, low=0.0)
    """Global gradient norm above which gradients are scaled down; 0 for never."""
    ema_momentum: float = option(0.99, low=0.0, high=0.99999)
    """Exponential moving average of weights used for validation and evaluation; 0 for none. At step
    t the momentum is at most (1 + t) / (10 + t), so that the initial weights are soon forgotten."""
    xla: str = option("auto", choices=("auto", "on", "off"))
    """Compile the step with XLA; `auto` is on for GPUs and off for CPUs. Of several devices each
    compiles its own part, and gradients are summed outside; not of a VAE with free bits, whose
    devices need each other's KL."""
    mutation_rate: float = option(0.0, low=0.0, high=1.0, added=True)
    """Share of pixel values that are replaced in training by evenly drawn ones: of 0.1 to 0.3 it
    makes a background model, for `evaluate.reference` (Ren et al., 2019); 0 for none."""
    precision: str = option("float32", choices=("float32", "mixed_bfloat16"))
    """Arithmetic of the networks; log-dets and likelihoods are float32 always. `float32` is just
    that on GPUs too: TensorFloat-32, TensorFlow's default there, is off in all that runs here."""
    strategy: str = option(
        "auto", choices=("auto", "single", "mirrored", "multi_worker"), trained=False
    )
    """Where training and scoring run. `single`: on one device; `mirrored`: on all GPUs of this
    machine; `multi_worker`: in the processes that the environment variable TF_CONFIG names (scoring
    on the first one's GPUs); `auto`: whichever there is more of. What is trained is the same but
    for noise, of which each device draws its own, and batch normalization, which sees what a device
    computes at once: half of a batch on a CPU, all of it on one GPU, a share on each of several."""
    deterministic: bool = option(False, trained=False)
    """Let TensorFlow use operations that add in one order only, so that a resumed run ends with the
    very weights of one that was never stopped on GPUs too. Slower there; on a CPU it costs
    nothing to speak of, and runs agree to rounding without it."""
    memory_growth: bool = option(True, trained=False)
    """Take the memory of GPUs as it is needed, so that others may use them too, and not at once."""
    memory_limit: float = option(0.0, low=0.0, trained=False)
    """GiB of the machine's memory, not a GPU's: training images that take less are read into it
    once, at two bytes a value while they are read and one from then on; of larger sets each pass
    reads files, and shuffles less thoroughly. 0 for a quarter of the machine's; workers of which
    some hold the images and others do not draw different batches, so say it for several."""


_MOST_SCORED = 250  # images; more are no faster
_LAYER_NUMBERS = 2**26


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """How likelihoods are estimated for the score tables."""

    batch_size: int = option(0, low=0)
    """Images that are scored together; 0 for as many as suit the model and the size of the images,
    at most 250: a layer of all of them has at most 64 million numbers, 256 MiB."""
    num_draws: int = option(1, low=1)
    """Draws per image, averaged in log space: S of dequantization noise for flows, K of latents
    for VAEs; exact families need none."""
    reference: str = ""
    """Work directory of a trained run, any with images of this shape: its log_prob is a column of
    the score tables too, for the detector `ratio`; also --reference. "" for none."""
    symmetries: bool = option(False)
    """Score the rotations and flips of every image too, columns `symmetry.1` to `symmetry.7`: seven
    times the work, or three times for images that are not square."""
    gradients: bool = option(False)
    """Take the gradient of every image's likelihood, by its pixels and by every tensor of trained
    parameters, columns `log_gradient_norm.input` and `log_gradient.*`: more than a training step's
    work for every image."""
    num_trajectory: int = option(250, low=0)
    """Images of every set, at most, that are scored at every checkpoint of the training too, with
    one draw: the likelihood over training; 0 for none."""


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """The images that the report shows of the model."""

    num_images: int = option(64, low=1)
    """Of the grid on the run's page."""
    temperature: float = option(1.0, low=0.0)
    """Scale of the latent's standard deviation, or of the logistics' (PixelCNN)."""
    num_paths: int = option(4, low=0)
    """Paths between test images of every set, through the latents of flows and VAEs; 0 for none."""


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """The guard that is exported with the model."""

    false_alarm_rate: float = option(0.05, low=1e-6, high=0.5)
    """Share of in-distribution images that the guard may flag; a rate r needs at least 2/r - 3
    validation images, of which one half fits the detectors and the other sets the threshold."""


@dataclasses.dataclass(frozen=True)
class MonitorConfig:
    """How --mode=monitor tells whether new images are still like the own ones."""

    images: str = ""
    """The new images: `folder:PATH`, `array:PATH.npy` or a name of the data set table; also
    --images."""
    level: float = option(0.01, low=1e-6, high=0.5)
    """Chance that drift is said of new images that come from where the own test images came
    from."""
    false_discovery_rate: float = option(0.1, low=1e-6, high=0.5)
    """Share of such images to expect among those that are named as foreign."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    data: DataConfig = DataConfig()
    model: ModelConfig = option(GlowConfig())
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = option(EvaluateConfig(), trained=False)
    sample: SampleConfig = option(SampleConfig(), trained=False)
    export: ExportConfig = option(ExportConfig(), trained=False)
    monitor: MonitorConfig = option(MonitorConfig(), trained=False)
    seed: int = option(0, low=0, high=2**31 - 1)
    """Of initial weights, the order of images and all noise."""

    @property
    def scoring_batch_size(self) -> int:
        """Images that are scored together, at least 1."""
        fits = _LAYER_NUMBERS // self.model.widest_layer(self.data.image_shape)
        return self.evaluate.batch_size or max(1, min(_MOST_SCORED, fits))

    def training_facts(self) -> dict[str, Any]:
        """All that a trained model depends on; what it is judged against may change later."""
        return options.training_facts(self)

    is_monitoring: ClassVar[bool] = False
    """Whether it is a config of `monitoring`."""

    def monitoring(self) -> "Config":
        """This config with the images to monitor as the only ones to judge.

        Raises:
          ConfigError: there are none, or they are the set that the model is trained on.
        """
        images = paths.absolute_name(self.monitor.images)
        valid = "folder:PATH or array:PATH.npy of new images"
        if not images:
            raise ConfigError("monitor.images", images, f"{valid}; also as --images")
        if images == self.data.in_distribution:
            valid += "; the own test images are what new ones are compared with"
            raise ConfigError("monitor.images", images, valid)
        data = dataclasses.replace(self.data, out_of_distribution=(images,))
        monitor = dataclasses.replace(self.monitor, images=images)
        return _Monitoring(**{**vars(self), "data": data, "monitor": monitor})

    def as_trained(self, facts: Mapping[str, Any]) -> "Config":
        """This config with the `training_facts` of another one.

        Raises:
          ConfigError: they are no such facts.
        """
        return from_config_dict(options.as_trained(self, facts))


class _Monitoring(Config):
    """A config whose foreign images are new ones, which the run is not about."""

    is_monitoring = True


def defaults(family: str) -> ml_collections.ConfigDict:
    """The defaults of a model family as a ConfigDict, for a config file to change."""
    return to_config_dict(Config(model=model_class({"family": family})()))


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
    config = build(Config, given, "", {"model": model_class(given.get("model", {}))})
    _check_together(config)
    return config


def describe_keys() -> Iterator[str]:
    """A line for every key: its default and what is valid; model keys for every family."""
    for group in dataclasses.fields(Config):
        if group.name != "model":
            yield from options.describe(Config, group.name, group.default)
            continue
        for family, cls in MODEL_CONFIGS.items():
            classes, tag = {"model": cls}, f" [{family}]"
            yield from options.describe(Config, "model", cls(), classes, tag)


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A short hash that is equal exactly when the facts are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _check_together(config: Config) -> None:
    """Checks that concern more than one value."""
    height, width, channels = config.data.image_shape
    if min(height, width) < 1 or channels not in (1, 3):
        valid = "(height, width, channels) with height, width >= 1 and 1 or 3 channels"
        raise ConfigError("data.image_shape", config.data.image_shape, valid)
    config.model.check(config.data.image_shape)
    train = config.train
    if train.num_steps % min(train.steps_per_epoch, train.num_steps):
        valid = f"a divisor of config.train.num_steps ({train.num_steps})"
        raise ConfigError("train.steps_per_epoch", train.steps_per_epoch, valid)
    if train.warmup_steps >= train.num_steps:
        valid = f"fewer than config.train.num_steps ({train.num_steps})"
        raise ConfigError("train.warmup_steps", train.warmup_steps, valid)
    if train.decay == "steps" and train.warmup_steps:
        raise ConfigError("train.warmup_steps", train.warmup_steps, "0 with train.decay=steps")
    if valid := paths.not_valid(config.evaluate.reference):
        raise ConfigError("evaluate.reference", config.evaluate.reference, valid)
    names = config.data.out_of_distribution
    if len(set(names)) != len(names) or config.data.in_distribution in names:
        valid = "different names, none of them the in-distribution set's"
        raise ConfigError("data.out_of_distribution", names, valid)
