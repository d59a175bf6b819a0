"""Every file in configs/ is valid, says how to run it, and takes a step at reduced size."""

import importlib.util
import inspect
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood import models
from tfp_ood.config import from_config_dict
from tfp_ood.data import specs

FILES = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config(path):
    module = load(path)
    assert f"python main.py --config=configs/{path.name}" in inspect.getdoc(module)
    given = module.get_config()
    full = from_config_dict(given)
    specs.parse(full.data.in_distribution, "data.in_distribution")

    for key in ("num_steps", "num_hidden"):
        given.model[key] = 2
    config = from_config_dict(given)
    model = models.build(config)
    shape = (4, *config.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    model.initialize(images)
    model.compile(optimizer="adam")
    batches = tf.data.Dataset.from_tensors({"image": images})
    history = model.fit(batches, epochs=1, verbose=0)
    assert np.isfinite(history.history["bits_per_dim"]).all()
