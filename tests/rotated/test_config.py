"""The config of the rotated digits: what is wrong is named; what may change after training."""

import dataclasses
import typing

import pytest

from tests.config_changes import changed
from tfp_ood.config import fingerprint
from tfp_ood.options import ConfigError
from tfp_ood.rotated import config as rotated_config
from tfp_ood.rotated.config import LeNetConfig, RotatedConfig, RotatedDataConfig, from_config_dict


def test_defaults_are_valid_and_survive_the_round_trip():
    assert from_config_dict(rotated_config.defaults()) == RotatedConfig()


WRONG = [
    ("experiment", "rotated", "rotated_digits"),
    ("data.image_shape", (28, 28, 3), "(size, size, 1)"),
    ("data.image_shape", (8, 8, 1), "size >= 16"),
    ("data.digits", (), "one or more"),
    ("data.digits", (3, 10), "from 0 to 9"),
    ("data.digits", (3, 3), "different"),
    ("data.digit_index", 20, "less than config.data.num_rotated (20)"),
    ("data.num_angles", 2, "at least 3"),
    ("data.out_of_distribution", (), "one or more"),
    ("data.out_of_distribution", ("mnist",), "different names"),
    ("model.variants", ("softmax", "mfn"), "did you mean mnf"),
    ("model.variants", ("mnf",), "softmax among them"),
    ("model.variants", ("softmax", "softmax"), "different names"),
    ("model.num_filters", (1, 5), "at least 2"),
    ("model.num_filter", (1, 5), "did you mean num_filters"),
    ("model.dropout_rate", 1.0, "from 0.0 to 0.99"),
    ("model.prior_scale", 0, "at least"),
    ("train.kl_warmup", 2.0, "from 0.0 to 1.0"),
]


@pytest.mark.parametrize(("key", "value", "valid"), WRONG, ids=[f"{k}={v}" for k, v, _ in WRONG])
def test_wrong_input_is_named(key, value, valid):
    with pytest.raises(ConfigError) as error:
        from_config_dict(changed(rotated_config.defaults(), key, value))
    message = str(error.value)
    assert message.startswith(f"config.{key}: ") and valid in message


def test_what_is_asked_may_change_after_training_but_not_the_networks():
    ours = RotatedConfig()
    asked = RotatedDataConfig(out_of_distribution=("noise",), digits=(1,), num_test=5)
    for other in (
        dataclasses.replace(ours, data=asked),
        dataclasses.replace(ours, model=LeNetConfig(variants=("softmax",))),
        dataclasses.replace(ours, evaluate=rotated_config.PredictConfig(num_draws=7)),
    ):
        assert other.training_facts() == ours.training_facts()
    for other in (
        dataclasses.replace(ours, seed=1),
        dataclasses.replace(ours, model=LeNetConfig(num_hidden=7)),
        dataclasses.replace(ours, data=RotatedDataConfig(num_validation=5)),
    ):
        assert other.training_facts() != ours.training_facts()


def test_runs_of_earlier_versions_go_on():
    """Their `config_hash`."""
    assert fingerprint(RotatedConfig().training_facts()) == "ce70ef1cffb13104"


def test_a_config_as_trained_has_what_was_trained_and_keeps_the_rest():
    trained = RotatedConfig(seed=7, model=LeNetConfig(num_hidden=7))
    data = RotatedDataConfig(digits=(1,), num_validation=5)
    model = LeNetConfig(variants=("softmax",), num_hidden=9)
    found = RotatedConfig(data=data, model=model).as_trained(trained.training_facts())
    assert found.training_facts() == trained.training_facts()
    assert found.data.digits == (1,) and found.model.variants == ("softmax",)
    with pytest.raises(ConfigError, match="no such key"):
        trained.as_trained({**trained.training_facts(), "unknown": 1})


def test_every_key_is_described():
    lines = list(rotated_config.describe_keys())
    said = "\n      Angles from 0 to 180 degrees, both included, at equal distances."
    assert f"data.num_angles=37: an integer of at least 3{said}" in lines
    said = "\n      For images of another channel count: "  # of the class that it is made of
    assert any(line.startswith("data.channel_change") and said in line for line in lines)
    assert all("\n      " in line for line in lines), "a key without a docstring"
    for group, cls in typing.get_type_hints(RotatedConfig).items():
        for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
            assert any(line.startswith(f"{group}.{field.name}=") for line in lines)
