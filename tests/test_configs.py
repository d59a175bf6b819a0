"""Every file in configs/ is valid, says how to run it, and takes a step at reduced size."""

import functools
import importlib.util
import inspect
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood import models
from tfp_ood.config import (
    MODEL_CONFIGS,
    Config,
    ConfigError,
    DataConfig,
    TrainConfig,
    from_config_dict,
)
from tfp_ood.data import specs
from tfp_ood.experiments import PAIRS, SIZES, experiment
from tfp_ood.rotated import config as rotated_config
from tfp_ood.training import optimizers

FILES = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))
ROTATED = "rotated_digits"  # of another kind; tests/test_rotated.py runs it at reduced size


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REDUCED = {
    "glow": {"num_steps": 1, "num_hidden": 2},
    "real_nvp": {"num_couplings": 2, "num_blocks": 1, "num_hidden": 2},
    "pixel_cnn": {"num_layers": 1, "num_filters": 2, "num_mixtures": 1},
    "vae": {"num_latents": 2, "num_filters": 2},
}
"""Of each family, what a test has time for; images are reduced as well."""


def cases():
    """Every config file with every size that it has."""
    for path in (path for path in FILES if path.stem != ROTATED):
        has_sizes = inspect.signature(load(path).get_config).parameters
        for size in SIZES if has_sizes else ("",):
            yield pytest.param(path, size, id="-".join(filter(None, (path.stem, size))))


@pytest.mark.parametrize(("path", "size"), cases())
def test_config(path, size):
    module = load(path)
    says = inspect.getdoc(module)
    assert f"python main.py --config=configs/{path.name}{':small' if size else ''}" in says
    assert "minutes" in says and "AUROC" in says
    given = module.get_config(size) if size else module.get_config()
    if path.stem == "audit":  # of a folder that must be given
        given.data.in_distribution = "fashion_mnist"
    full = from_config_dict(given)
    specs.parse(full.data.in_distribution, "data.in_distribution")
    for name in full.data.out_of_distribution:
        specs.parse(name, "data.out_of_distribution")
    assert bits_of_a_step(reduced(given)) < 20


def test_config_of_rotated_digits():
    (path,) = (path for path in FILES if path.stem == ROTATED)
    module = load(path)
    assert f"python main.py --config=configs/{path.name}" in inspect.getdoc(module)
    rotated_config.from_config_dict(module.get_config())


def reduced(given):
    """A config at a size that a test has time for, on images of 8x8, without what no step needs."""
    given.model.update(REDUCED[given.model.family])
    given.data.image_shape = (8, 8, given.data.image_shape[2])
    config = from_config_dict(given)
    train = TrainConfig(
        num_steps=2, warmup_steps=1, optimizer=config.train.optimizer, decay=config.train.decay
    )
    return Config(
        data=DataConfig(image_shape=config.data.image_shape), model=config.model, train=train
    )


@functools.cache  # many experiments are the same when they are small
def bits_of_a_step(config):
    """Bits/dim of one step of `fit`."""
    model = models.build(config)
    shape = (4, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    model.initialize(images)
    model.compile(optimizer=optimizers.build(config.train))
    batches = tf.data.Dataset.from_tensors({"image": images, "label": np.arange(4)})
    return model.fit(batches, epochs=1, verbose=0).history["bits_per_dim"][0]


def test_another_size_is_refused():
    with pytest.raises(ConfigError, match="one of paper, small"):
        experiment("glow", "fashion_mnist", "tiny")


def test_every_family_has_every_pair():
    stems = {path.stem for path in FILES}
    assert {f"{family}_{pair}" for family in MODEL_CONFIGS for pair in PAIRS} <= stems
