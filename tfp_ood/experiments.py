"""The experiments of Nalisnick et al. (2019): a family of models x a pair of image sets x a size.

Files in `configs/` call `experiment`. The paper's sizes are recalled, not read; where nothing is
recalled (all of RealNVP; the latents of VAEs) they are those of the family's own paper, or ours.

So are the schedules: that of PixelCNN is the one recalled. Flows differ on purpose, because others
could not train them stably as recalled (RMSProp at 1e-5, highway networks in the couplings, no
actnorm): here they have Adam with a warm-up and a cosine decay, three-layer networks, actnorm, and
weights averaged for evaluation, as all families.
"""

import ml_collections

from tfp_ood.config import defaults
from tfp_ood.families import MODEL_CONFIGS
from tfp_ood.options import ConfigError, one_of

PAIRS = {
    "fashion_mnist": {
        "in_distribution": "fashion_mnist",
        "out_of_distribution": ("mnist",),
        "image_shape": (28, 28, 1),
    },
    "cifar10": {
        "in_distribution": "cifar10",
        "out_of_distribution": ("svhn_cropped", "cifar100"),
        "image_shape": (32, 32, 3),
    },
    "celeb_a": {
        "in_distribution": "celeb_a",
        "out_of_distribution": ("svhn_cropped",),
        "image_shape": (32, 32, 3),
        # Faces are 218 x 178; sets that are 32 x 32 already pass through unchanged.
        "size_change": "crop",
    },
    "imagenet32": {
        "in_distribution": "downsampled_imagenet_32x32",
        "out_of_distribution": ("cifar10", "cifar100", "svhn_cropped"),
        "image_shape": (32, 32, 3),
    },
}
"""Name -> what of `config.data` makes the pair."""

SIZES = ("paper", "small")

_LONG = {"steps_per_epoch": 1_000, "warmup_steps": 1_000, "ema_momentum": 0.999}
_RMSPROP = {"optimizer": "rmsprop", "learning_rate": 1e-4, "batch_size": 32, **_LONG}

_PAPER = {
    "glow": {
        "gray": ({"num_levels": 2, "num_steps": 16, "num_hidden": 200}, {"num_steps": 100_000}),
        "color": ({"num_levels": 3, "num_steps": 8, "num_hidden": 400}, {"num_steps": 200_000}),
        "all": ({}, {"batch_size": 32, **_LONG}),
    },
    "real_nvp": {
        "gray": ({"num_levels": 2}, {"num_steps": 100_000}),
        "color": ({"num_levels": 2}, {"num_steps": 200_000}),
        "all": (
            {"num_couplings": 3, "num_blocks": 8, "num_hidden": 64, "normalization": "batch_norm"},
            {"batch_size": 64, **_LONG},
        ),
    },
    "pixel_cnn": {
        "gray": ({"num_layers": 5, "num_filters": 32}, {}),
        "color": ({"num_layers": 15, "num_filters": 128}, {}),
        "all": (
            {"output": "categorical"},
            {**_RMSPROP, "decay": "steps", "num_steps": 100_000, "warmup_steps": 0},
        ),
    },
    "vae": {
        "all": ({"num_filters": 8, "decoder": "categorical"}, {**_RMSPROP, "num_steps": 200_000}),
    },
}
"""Family -> (model, train) settings of the paper's size, by kind of image."""

_SHORT = {"num_steps": 1_000, "steps_per_epoch": 100}
_QUICK = {"warmup_steps": 100, "steps_per_epoch": 500}

_SMALL = {
    "glow": {
        "gray": ({"num_levels": 2}, {"num_steps": 5_000}),
        "color": ({"num_levels": 3}, _SHORT),
        "all": ({"num_steps": 8, "num_hidden": 64}, {"learning_rate": 5e-3, **_QUICK}),
    },
    "real_nvp": {
        "gray": ({}, {"num_steps": 4_000}),
        # Gradients have norms of 15 to 20, and now and then of hundreds.
        "color": ({}, {**_SHORT, "clip_norm": 25.0}),
        "all": (
            {"num_levels": 2, "num_couplings": 3, "num_blocks": 1, "num_hidden": 32},
            {"learning_rate": 3e-3, **_QUICK},
        ),
    },
    "pixel_cnn": {
        "all": (
            {"num_hierarchies": 2, "num_layers": 1, "num_filters": 32, "num_mixtures": 5},
            {"batch_size": 32, "learning_rate": 2e-3, **_QUICK, **_SHORT},
        ),
    },
    "vae": {
        "gray": ({}, {"num_steps": 3_000}),
        "color": ({}, _SHORT),
        "all": ({"num_filters": 16, "num_latents": 50}, {"learning_rate": 2e-3, **_QUICK}),
    },
}
"""The same for the size that two cores train in 4 to 27 minutes."""

_NUM_DRAWS = {"vae": 50}
"""Family -> `evaluate.num_draws`, where one draw is too loose a bound."""


def experiment(family: str, pair: str, size: str) -> ml_collections.ConfigDict:
    """The config of an experiment, for a file in `configs/` to return or to change.

    Args:
      family: a key of `MODEL_CONFIGS`.
      pair: a key of `PAIRS`, by the in-distribution set.
      size: "paper", or "small" for two cores and 4 to 27 minutes.

    Raises:
      ConfigError: there is no such family, pair or size.
    """
    valid = {"family": (family, MODEL_CONFIGS), "pair": (pair, PAIRS), "size": (size, SIZES)}
    for key, (given, names) in valid.items():
        if given not in names:
            raise ConfigError(key, given, f"{one_of(names, given)}, after the file's name")
    config = defaults(family)
    config.data.update(PAIRS[pair])
    sizes = (_SMALL if size == "small" else _PAPER)[family]
    color = "gray" if config.data.image_shape[-1] == 1 else "color"
    for model, train in (sizes["all"], sizes.get(color, ({}, {}))):
        config.model.update(model)
        config.train.update(train)
    config.evaluate.num_draws = _NUM_DRAWS.get(family, config.evaluate.num_draws)
    return config


def arguments(words: str, *names: str) -> list[str]:
    """The words that a user wrote after a config file's name, the last of them the size.

    Args:
      words: separated by commas; spaces do not matter, and without a size it is "paper".
      names: of the words before the size, in capitals.

    Raises:
      ConfigError: there are too few or too many of them.
    """
    given = [word.strip() for word in words.split(",")]
    if not len(names) <= len(given) <= len(names) + 1:
        valid = f"{','.join(names)} or {','.join(names)},SIZE"
        raise ConfigError(f"--config: got {words!r} after the file's name; valid is {valid}.")
    return [*given, "paper"][: len(names) + 1]
