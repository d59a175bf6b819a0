"""Every file in configs/ is valid, says how to run it, and takes a step at reduced size."""

import functools
import importlib.util
import inspect
import itertools
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.contracts import CASES
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
from tfp_ood.data.untuned import untuned
from tfp_ood.experiments import PAIRS, SIZES, arguments, experiment
from tfp_ood.rotated import config as rotated_config
from tfp_ood.training import optimizers

FILES = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))
ROTATED = "rotated_digits"  # of another kind; tests/rotated/test_stages.py runs it at reduced size
DEPTHS = ("num_levels", "num_hierarchies")  # what the size of images bounds is not reduced


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ARGUMENTS = {
    "paper": (MODEL_CONFIGS, PAIRS, SIZES),
    "glow_constant_volume": (PAIRS, SIZES),
    "glow_class_conditional": (SIZES,),
}
"""File -> what may follow its name; of the others nothing."""
EXAMPLES = {
    "paper": ":FAMILY,PAIR,small",
    "glow_constant_volume": ":fashion_mnist,small",
    "glow_class_conditional": ":small",
}
"""The same in the command of the file's docstring."""


def cases():
    """Every config file with everything that may follow its name."""
    for path in (path for path in FILES if path.stem != ROTATED):
        for words in itertools.product(*ARGUMENTS.get(path.stem, ())):
            yield pytest.param(path, ",".join(words), id="-".join((path.stem, *words)))


@pytest.mark.parametrize(("path", "words"), list(cases()))
def test_config(path, words):
    module = load(path)
    says = inspect.getdoc(module)
    assert f"python main.py --config=configs/{path.name}{EXAMPLES.get(path.stem, '')}" in says
    assert "minutes" in says and "AUROC" in says
    given = module.get_config(words) if words else module.get_config()
    if path.stem == "audit":  # of a folder that must be given
        given.data.in_distribution = "fashion_mnist"
    full = from_config_dict(given)
    specs.parse(full.data.in_distribution, "data.in_distribution")
    for name in full.data.out_of_distribution:
        specs.parse(name, "data.out_of_distribution")
    assert bits_of_a_step(reduced(given)) < 20


@pytest.mark.parametrize(("family", "pair"), list(itertools.product(MODEL_CONFIGS, PAIRS)))
def test_every_experiment_has_its_figures_or_is_said_not_to_be_run(family, pair):
    (path,) = (path for path in FILES if path.stem == "paper")
    says = inspect.getdoc(load(path))
    measured, _, not_run = says.partition("Not run: ")
    row = rf"^ +{family},{pair} +\d+ +\d\.\d\d +\d\.\d\d +\d\.\d\d( |$)"
    assert re.search(row, measured, re.MULTILINE) or pair in not_run


def test_nothing_after_the_name_of_a_file_means_the_paper_s_size():
    by_name = {path.stem: load(path).get_config for path in FILES}
    assert by_name["paper"]("vae,cifar10") == experiment("vae", "cifar10", "paper")
    assert by_name["paper"](" vae , cifar10,small ") == experiment("vae", "cifar10", "small")
    for name, words in (("constant_volume", "fashion_mnist,paper"), ("class_conditional", "paper")):
        get_config = by_name[f"glow_{name}"]
        assert get_config() == get_config(words) != get_config(words.replace("paper", "small"))


def test_config_of_rotated_digits():
    (path,) = (path for path in FILES if path.stem == ROTATED)
    module = load(path)
    assert f"python main.py --config=configs/{path.name}" in inspect.getdoc(module)
    rotated_config.from_config_dict(module.get_config())


def reduced(given):
    """A config at a size that a test has time for, on images of 8x8, without what no step needs."""
    case = next(case for case in CASES.values() if case.family == given.model.family)
    given.model.update({key: v for key, v in case.options.items() if key not in DEPTHS})
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
    # The contract test traces every family's step; here that would take longer than all else.
    model.compile(optimizer=optimizers.build(config.train), run_eagerly=True)
    batches = untuned(tf.data.Dataset.from_tensors({"image": images, "label": np.arange(4)}))
    with contracts.eagerly():  # the halves of a batch too
        return model.fit(batches, epochs=1, verbose=0).history["bits_per_dim"][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("glow", "fashion_mnist", "tiny"), "size: got 'tiny'; valid is one of paper, small"),
        (("glow", "cifar", "small"), "pair: got 'cifar'; valid is one of fashion_mnist, cifar10"),
        (("glwo", "cifar10", "small"), "family: got 'glwo'; valid is one of glow, real_nvp"),
    ],
)
def test_another_experiment_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        experiment(*given)


@pytest.mark.parametrize("words", ["", "glow", "glow,cifar10,small,x"])
def test_another_number_of_words_is_refused(words):
    said = f"got '{words}' after .* FAMILY,PAIR or FAMILY,PAIR,SIZE"
    with pytest.raises(ConfigError, match=said):
        arguments(words, "FAMILY", "PAIR")


def test_there_are_few_files():
    assert len(FILES) <= 7
