"""The models of the contract test, one of each family and option, as small as they come.

A new family adds a line to `CASES`; `tests/models/test_contract.py` holds it to every clause, and
`tests/test_configs.py` reduces its experiments to the options of its first case.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import models
from tfp_ood.config import MODEL_CONFIGS, Config, DataConfig, TrainConfig
from tfp_ood.data.untuned import untuned
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.training import fused

GRAY, COLOR = (8, 8, 1), (8, 8, 3)


@dataclasses.dataclass(frozen=True)
class Case:
    """A family with options, and the images it is tried on."""

    family: str
    options: Mapping[str, Any]
    image_shape: tuple[int, int, int] = GRAY
    bfloat16_tolerance: float = 0.02
    """Bits/dim between float32 and mixed bfloat16, after the same initialisation."""


_GLOW = {"num_levels": 2, "num_steps": 1, "num_hidden": 6}
_REAL_NVP = {"num_levels": 2, "num_couplings": 2, "num_blocks": 1, "num_hidden": 6}
_PIXEL_CNN = {"num_hierarchies": 2, "num_layers": 1, "num_filters": 6, "num_mixtures": 2}
_GATED = {"output": "categorical", "num_layers": 2, "num_filters": 6}
_VAE = {"num_latents": 3, "num_filters": 4}

CASES = {
    "glow": Case("glow", _GLOW),
    "glow_deep": Case("glow", {**_GLOW, "num_steps": 2}),
    "glow_color": Case("glow", _GLOW, COLOR),
    "glow_constant_volume": Case("glow", {**_GLOW, "coupling": "additive"}),
    "glow_class_conditional": Case("glow", {**_GLOW, "num_classes": 3}),
    "real_nvp": Case("real_nvp", _REAL_NVP),
    "real_nvp_batch_norm": Case("real_nvp", {**_REAL_NVP, "normalization": "batch_norm"}, COLOR),
    "pixel_cnn": Case("pixel_cnn", _PIXEL_CNN),
    "pixel_cnn_color": Case(
        "pixel_cnn", {**_PIXEL_CNN, "num_hierarchies": 1, "dropout": 0.2}, COLOR
    ),
    "pixel_cnn_categorical": Case("pixel_cnn", _GATED, COLOR),
    "vae": Case("vae", _VAE, (7, 10, 1)),  # neither side divides by 2 all the way
    "vae_logistic_gaussian": Case("vae", {**_VAE, "decoder": "logistic"}, (7, 10, 1), 0.05),
    "vae_logistic": Case("vae", {**_VAE, "decoder": "logistic", "prior": "mixture"}, COLOR, 0.05),
}


def build(case: Case, precision: str = "float32", image_shape=None) -> LikelihoodModel:
    """The model of a case, not initialised."""
    return models.build(
        Config(
            data=DataConfig(image_shape=image_shape or case.image_shape),
            model=MODEL_CONFIGS[case.family](**case.options),
            train=TrainConfig(precision=precision),
        )
    )


def random_images(case: Case, count: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth images of a case's shape, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(40, 200, (count, 1, 1, case.image_shape[2]))
    noisy = base + rng.normal(0, 10, (count, *case.image_shape))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def batches(case: Case, count: int = 32) -> tf.data.Dataset:
    """The same labelled batch again and again."""
    labels = np.arange(count, dtype=np.int64) % 3
    batch = tf.data.Dataset.from_tensors({"image": random_images(case, count), "label": labels})
    return untuned(batch.repeat())


def initialized(case: Case, **how: Any) -> LikelihoodModel:
    """A model ready for training."""
    model = build(case, **how)
    model.initialize(random_images(case))
    return model


def trained(case: Case, steps: int = 12, learning_rate: float = 5e-3) -> LikelihoodModel:
    """A model that `fit` has changed."""
    model = initialized(case)
    model.compile(optimizer=fused.Adam(learning_rate, jit_compile=False))
    model.fit(batches(case), epochs=1, steps_per_epoch=steps, verbose=0)
    return model


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Runs compiled functions operation by operation, where tracing them would take longer."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def shared(name: str, state: str = "trained") -> LikelihoodModel:
    """The model of a case, made once in a process, for tests that do not change it.

    Args:
      name: of the case.
      state: `fresh`, `initialized` or `trained`.
    """
    return _shared(name, state)


@functools.cache
def _shared(name: str, state: str) -> LikelihoodModel:
    return {"fresh": build, "initialized": initialized, "trained": trained}[state](CASES[name])
