"""The options of every family of models, and what a family can do: said by its config's class.

`config.py` makes one experiment of them. This module imports nothing heavy.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from tfp_ood.options import ConfigError, build, one_of, option
from tfp_ood.units import NUM_PIXEL_VALUES


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The options of a family of models, and what the family can do."""

    title: ClassVar[str]
    """What people call the family."""
    kinds: ClassVar[Mapping[str, str]] = {}
    """What people call each other `kind` that its options make."""
    reconstructs: ClassVar[bool] = False
    """Whether its models have `reconstruct`, from images to uint8 images of the same shape."""
    has_latents: ClassVar[bool] = False
    """Whether its models have `encode` and `decode`."""
    num_classes = 0  # not annotated: Glow's field of this name then keeps its place
    """Classes whose labels condition the model; 0 for none."""

    family: str
    """Which kind of model it is."""

    @property
    def kind(self) -> str:
        """The family, or a word for what its options make of it."""
        return self.family

    @property
    def has_constant_volume(self) -> bool:
        """Whether it is a flow with one log-det for all images and a standard normal latent."""
        return False

    def widest_layer(self, image_shape: tuple[int, int, int]) -> int:
        """Numbers of one image, (height, width, channels), in the layer that has most of them."""
        raise NotImplementedError

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """Checks the options that depend on the images, (height, width, channels).

        Raises:
          ConfigError: an option does not fit them.
        """


@dataclasses.dataclass(frozen=True)
class FlowConfig(ModelConfig):
    """A flow whose levels each halve height and width."""

    has_latents: ClassVar = True
    num_levels: int = option(2, low=1, high=8)
    """Scales; height and width must divide by 2**num_levels."""
    num_hidden = 0  # not annotated: the fields of this name then keep their places

    def widest_layer(self, image_shape: tuple[int, int, int]) -> int:
        """See `ModelConfig`: a hidden layer of the first level's networks."""
        return math.prod(image_shape[:2]) // 4 * self.num_hidden

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """See `ModelConfig`."""
        _check_scales("num_levels", self.num_levels, 0, image_shape, "at every level")


@dataclasses.dataclass(frozen=True)
class GlowConfig(FlowConfig):
    """Glow (Kingma & Dhariwal, 2018)."""

    title: ClassVar = "Glow"
    kinds: ClassVar = {
        "glow_constant_volume": "constant-volume Glow",
        "glow_class_conditional": "class-conditional Glow",
    }

    family: str = option("glow", choices=("glow",))
    num_steps: int = option(8, low=1)
    """Flow steps (actnorm, 1x1 convolution, coupling) per level."""
    num_hidden: int = option(64, low=1)
    """Channels of the hidden layers of each coupling network."""
    coupling: str = option("affine_sigmoid", choices=("affine_sigmoid", "affine", "additive"))
    """What a step does to half of the channels. `affine_sigmoid`: shift and scale them, from 0.11
    to 1.12, by a sigmoid as Glow's published code, which has no floor; `affine`: scale by up to e^2
    as RealNVP, with which the loss may jump; `additive`: shift them, which keeps the volume
    constant over images, for the paper's constant-volume Glow."""
    num_classes: int = option(0, low=0)
    """Classes whose labels condition the latents' prior; 0 for none. With classes, log_prob
    is of the mixture of all of them, and Bayes' rule gives p(y|x)."""

    def widest_layer(self, image_shape: tuple[int, int, int]) -> int:
        """See `ModelConfig`: that of the flow, or its latents under each class's prior."""
        return max(super().widest_layer(image_shape), self.num_classes * math.prod(image_shape))

    @property
    def kind(self) -> str:
        """See `ModelConfig`; its classes go before its volume."""
        if self.num_classes:
            return "glow_class_conditional"
        return "glow_constant_volume" if self.has_constant_volume else self.family

    @property
    def has_constant_volume(self) -> bool:
        """See `ModelConfig`."""
        return self.coupling == "additive" and not self.num_classes


@dataclasses.dataclass(frozen=True)
class RealNVPConfig(FlowConfig):
    """RealNVP (Dinh et al., 2017). Unlike here, in the published one features grow from level to
    level, the scale of the tanh is learned, and what normalizes inside the coupling networks are
    batch and weight norms, not actnorms."""

    title: ClassVar = "RealNVP"

    family: str = option("real_nvp", choices=("real_nvp",))
    num_couplings: int = option(3, low=2)
    """Couplings of each kind of mask (checkerboard, channels) per level."""
    num_blocks: int = option(2, low=1)
    """Residual blocks of each coupling network."""
    num_hidden: int = option(32, low=1)
    """Channels of the residual blocks."""
    normalization: str = option("actnorm", choices=("actnorm", "batch_norm"))
    """What follows each coupling."""


@dataclasses.dataclass(frozen=True)
class PixelCNNConfig(ModelConfig):
    """PixelCNN++ (Salimans et al., 2017), or gated PixelCNN (van den Oord et al., 2016)."""

    title: ClassVar = "PixelCNN"

    family: str = option("pixel_cnn", choices=("pixel_cnn",))
    output: str = option("logistic_mixture", choices=("logistic_mixture", "categorical"))
    """`logistic_mixture` is PixelCNN++; `categorical` is the paper's gated PixelCNN, a 256-way
    softmax on a stack of gated layers whose filters are divided among the colours."""
    num_hierarchies: int = option(2, low=1, high=6)
    """Resolutions (PixelCNN++ only); height and width must divide by 2**(num_hierarchies - 1)."""
    num_layers: int = option(1, low=1)
    """Gated residual layers: per resolution (PixelCNN++), or in all (categorical)."""
    num_filters: int = option(32, low=1)
    """Channels of every layer."""
    num_mixtures: int = option(5, low=1)
    """Logistics per pixel."""
    dropout: float = option(0.0, low=0.0, high=0.9)
    """Share of hidden values that are dropped in training."""

    def widest_layer(self, image_shape: tuple[int, int, int]) -> int:
        """See `ModelConfig`: what each pixel has of filters, doubled for gates, or of outputs."""
        height, width, channels = image_shape
        of_mixture = 10 * self.num_mixtures
        outputs = NUM_PIXEL_VALUES * channels if self.output == "categorical" else of_mixture
        return height * width * max(4 * self.num_filters, outputs)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """See `ModelConfig`."""
        if self.output == "logistic_mixture":
            count = self.num_hierarchies
            _check_scales("num_hierarchies", count, 1, image_shape, "between them")
        elif self.num_filters < image_shape[2]:
            valid = f"at least {image_shape[2]}: each colour has filters of its own"
            raise ConfigError("model.num_filters", self.num_filters, valid)


@dataclasses.dataclass(frozen=True)
class VAEConfig(ModelConfig):
    """A convolutional variational autoencoder (Kingma & Welling, 2014)."""

    title: ClassVar = "VAE"
    reconstructs: ClassVar = True
    has_latents: ClassVar = True

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

    def widest_layer(self, image_shape: tuple[int, int, int]) -> int:
        """See `ModelConfig`: what the decoder puts out, or its last layer."""
        height, width, channels = image_shape
        outputs = channels * (NUM_PIXEL_VALUES if self.decoder == "categorical" else 2)
        return height * width * max(outputs, self.num_filters)


MODEL_CONFIGS: dict[str, type[ModelConfig]] = {
    cls.family: cls for cls in (GlowConfig, RealNVPConfig, PixelCNNConfig, VAEConfig)
}
"""Family -> its config."""

TITLES = {
    kind: title
    for cls in MODEL_CONFIGS.values()
    for kind, title in {cls.family: cls.title, **cls.kinds}.items()
}
"""Kind of model, or family -> what people call it."""


def model_config(given: Mapping[str, Any]) -> ModelConfig:
    """The typed config of a model, from the `model` group of a config.

    Raises:
      ConfigError: names the first thing that is wrong and what would be right.
    """
    return build(model_class(given), given, "model.")


def model_class(given: Any) -> type[ModelConfig]:
    """The class of a `model` group, by its family; Glow where it says none.

    Raises:
      ConfigError: there is no such family.
    """
    family = given.get("family", "glow") if isinstance(given, Mapping) else "glow"
    if family not in MODEL_CONFIGS:
        raise ConfigError("model.family", family, one_of(MODEL_CONFIGS, family))
    return MODEL_CONFIGS[family]


def _check_scales(
    key: str, given: int, num_whole: int, image_shape: tuple[int, int, int], where: str
) -> None:
    """Refuses more scales than halvings of height and width, and `num_whole` without one, give."""
    height, width, _ = image_shape
    size = math.gcd(height, width)
    most = num_whole + (size & -size).bit_length() - 1
    if given <= most:
        return
    unit = 2 ** (given - num_whole)
    near = "x".join(str(max(1, round(side / unit)) * unit) for side in (height, width))
    other = f"height and width that divide by {unit}, such as {near}"
    change = "images of another size are brought to it by config.data.size_change=resize"
    if most < 1:
        raise ConfigError(
            "data.image_shape",
            image_shape,
            f"of a {other}, as images are halved {where}, of which there are {given} (config."
            f"model.{key}); {change}",
        )
    valid = (
        f"at most {most} for images of {height}x{width}, which are halved {where}, or {given} with "
        f"a config.data.image_shape of a {other}; {change}"
    )
    raise ConfigError(f"model.{key}", given, valid)
