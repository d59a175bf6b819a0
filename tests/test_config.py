"""The config: every wrong key, type and value is named, with what is valid."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from tests import nasty
from tests.config_changes import changed
from tfp_ood import config as config_lib
from tfp_ood import families, paths
from tfp_ood.config import Config, ConfigError, DataConfig, EvaluateConfig, from_config_dict


def test_defaults_are_valid_and_survive_the_round_trip():
    assert from_config_dict(config_lib.defaults("glow")) == Config()


WRONG = [
    ("model.num_stepz", 3, "did you mean num_steps"),
    ("model.num_steps", "8", "an integer of at least 1"),
    ("model.num_steps", True, "an integer"),
    ("model.num_levels", 3, "at most 2 for images of 28x28"),
    ("model.coupling", "affin", "did you mean affine"),
    ("model.family", "glwo", "did you mean glow"),
    ("train.batch_size", 0, "at least 1"),
    ("train.learning_rate", float("nan"), "a number from"),
    ("train.clip_norm", float("inf"), "a number"),
    ("train.steps_per_epoch", 3, "a divisor of"),
    ("train.warmup_steps", 10_000, "fewer than"),
    ("data.image_shape", (28, 28), "a tuple of 3 integers"),
    ("data.image_shape", (28, 28, 2), "1 or 3 channels"),
    ("data.out_of_distribution", "mnist", "a tuple of any number of texts"),
    ("data.out_of_distribution", ("mnist", "mnist"), "different names"),
    ("data.out_of_distribution", ("fashion_mnist",), "different names"),
    ("data", 3, "a group of keys"),
    ("seed", -1, "from 0"),
    ("export.false_alarm_rate", 0.6, "from 1e-06 to 0.5"),
]


@pytest.mark.parametrize(("key", "value", "valid"), WRONG, ids=[f"{k}={v}" for k, v, _ in WRONG])
def test_wrong_input_is_named(key, value, valid):
    with pytest.raises(ConfigError) as error:
        from_config_dict(changed(config_lib.defaults("glow"), key, value))
    message = str(error.value)
    assert message.startswith(f"config.{key}: ") and valid in message
    assert repr(value) in message or "no such key" in message


@pytest.mark.parametrize(
    ("shape", "levels", "said"),
    [
        ((31, 33, 3), 2, "image_shape: got (31, 33, 3); valid is of a height and width that divide "
         "by 4, such as 32x32, as images are halved at every level, of which there are 2"),
        ((1, 3, 1), 1, "image_shape: got (1, 3, 1); valid is of a height and width that divide by "
         "2, such as 2x4,"),
        ((28, 28, 1), 3, "num_levels: got 3; valid is at most 2 for images of 28x28, which are "
         "halved at every level, or 3 with a config.data.image_shape of a height and width that "
         "divide by 8, such as 32x32"),
        ((30, 44, 3), 2, "at most 1 for images of 30x44, which are halved at every level, or 2 "
         "with a config.data.image_shape of a height and width that divide by 4, such as 32x44"),
    ],
)  # fmt: skip
def test_sizes_that_would_do_are_named_with_the_way_there(shape, levels, said):
    given = changed(config_lib.defaults("glow"), "data.image_shape", shape)
    given["model"]["num_levels"] = levels
    with pytest.raises(ConfigError) as error:
        from_config_dict(given)
    message = str(error.value)
    assert said in message and message.count(". ") == 0
    assert message.endswith("brought to it by config.data.size_change=resize.")
    near = re.findall(r"such as (\d+)x(\d+)", message)[0]
    given["data"]["image_shape"] = (*map(int, near), shape[2])
    from_config_dict(given)


def test_names_with_commas_go_in_quotes():
    texts = {
        "a,b": ["a", "b"],
        " a , b ,": ["a", "b"],
        '"folder:a, b",mnist': ["folder:a, b", "mnist"],
        '"a ""q"" b"': ['a "q" b'],
        'folder:it\'s "x",y': ['folder:it\'s "x"', "y"],
        '"folder:a\nb,c"': ["folder:a\nb,c"],
        '"folder:a,b': ['"folder:a', "b"],
        '"x"y': ['"x"y'],
        "": [],
        ", ,": [],
    }
    assert {text: paths.listed(text) for text in texts} == texts
    for name in nasty.NASTY.values():
        quoted = '"' + name.replace('"', '""') + '"'
        assert paths.listed(f"mnist,{quoted}, noise") == ["mnist", name, "noise"]


@pytest.mark.parametrize("given", ["gs://bucket/run", nasty.NOT_UTF_8])
def test_a_reference_that_no_run_can_use_is_refused(given):
    with pytest.raises(ConfigError, match=r"config\.evaluate\.reference: got .*; valid is a path"):
        from_config_dict(changed(config_lib.defaults("glow"), "evaluate.reference", given))


def test_resolutions_of_a_pixel_cnn_halve_the_image():
    given = config_lib.defaults("pixel_cnn").to_dict()
    given["model"]["num_hierarchies"] = 4
    with pytest.raises(
        ConfigError, match=r"num_hierarchies: got 4.* at most 3 for images of 28x28"
    ):
        from_config_dict(given)
    given["model"]["output"] = "categorical"  # has one resolution, whatever is given
    from_config_dict(given)


def test_each_colour_of_a_gated_pixel_cnn_has_filters():
    given = config_lib.defaults("pixel_cnn").to_dict()
    given["model"] |= {"output": "categorical", "num_filters": 2}
    from_config_dict(given)  # of gray images
    given["data"]["image_shape"] = (28, 28, 3)
    with pytest.raises(
        ConfigError, match=r"config\.model\.num_filters: got 2; .* at least 3: each"
    ):
        from_config_dict(given)
    given["model"]["output"] = "logistic_mixture"
    from_config_dict(given)


def test_an_epoch_longer_than_the_training_is_fine():
    config = from_config_dict(changed(config_lib.defaults("glow"), "train.num_steps", 300))
    assert config.train.num_steps == 300


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("glow", "6fd16fdd63263bda"),
        ("real_nvp", "ce5efa09ab499d61"),
        ("pixel_cnn", "ab9b066403a34b05"),
        ("vae", "6bf8b00ead538b41"),
    ],
)
def test_runs_of_earlier_versions_go_on(family, expected):
    """Their `config_hash`; a new key is no fact of a training while it has its default."""
    config = from_config_dict(config_lib.defaults(family))
    assert config_lib.fingerprint(config.training_facts()) == expected
    train = dataclasses.replace(config.train, mutation_rate=0.1)
    assert "mutation_rate" not in config.training_facts()["train"]
    assert (
        dataclasses.replace(config, train=train).training_facts()["train"]["mutation_rate"] == 0.1
    )


@pytest.mark.parametrize(
    ("family", "options", "kind", "title"),
    [
        ("glow", {}, "glow", "Glow"),
        ("glow", {"coupling": "additive"}, "glow_constant_volume", "constant-volume Glow"),
        ("glow", {"num_classes": 3}, "glow_class_conditional", "class-conditional Glow"),
        (
            "glow",
            {"coupling": "additive", "num_classes": 3},
            "glow_class_conditional",
            "class-conditional Glow",
        ),
        ("real_nvp", {}, "real_nvp", "RealNVP"),
        ("pixel_cnn", {}, "pixel_cnn", "PixelCNN"),
        ("vae", {}, "vae", "VAE"),
    ],
)
def test_a_model_s_config_says_what_it_is(family, options, kind, title):
    config = families.model_config({"family": family, **options})
    assert config.kind == kind and families.TITLES[kind] == title
    assert config.has_constant_volume == (kind == "glow_constant_volume")
    assert config.reconstructs == (family == "vae")
    assert config.num_classes == options.get("num_classes", 0)


def test_a_model_s_config_alone_is_checked():
    with pytest.raises(ConfigError, match="did you mean glow"):
        families.model_config({"family": "glwo"})
    with pytest.raises(ConfigError, match=r"config.model.num_steps: got 0"):
        families.model_config({"num_steps": 0})


def test_training_facts_leave_out_what_may_change_afterwards():
    data = DataConfig(out_of_distribution=("noise",), num_test=5)
    evaluate = config_lib.EvaluateConfig(num_draws=7)
    export = config_lib.ExportConfig(false_alarm_rate=0.1)
    config = dataclasses.replace(Config(), data=data, evaluate=evaluate, export=export)
    assert config.training_facts() == Config().training_facts()
    for other in (
        dataclasses.replace(Config(), seed=1),
        dataclasses.replace(Config(), model=config_lib.GlowConfig(num_hidden=65)),
        dataclasses.replace(Config(), data=DataConfig(num_validation=7)),
    ):
        facts = other.training_facts()
        assert config_lib.fingerprint(facts) != config_lib.fingerprint(Config().training_facts())


@pytest.mark.parametrize("mutation_rate", [0.0, 0.1])
@pytest.mark.parametrize("family", config_lib.MODEL_CONFIGS)
def test_a_config_as_trained_has_what_was_trained_and_keeps_the_rest(family, mutation_rate):
    trained = from_config_dict(config_lib.defaults(family))
    trained = dataclasses.replace(
        trained, seed=7, train=dataclasses.replace(trained.train, mutation_rate=mutation_rate)
    )
    data = DataConfig(out_of_distribution=("noise",), unreadable="skip", size_change="pad")
    other = Config(data=data, evaluate=EvaluateConfig(batch_size=3))
    facts = json.loads(json.dumps(trained.training_facts()))
    found = other.as_trained(facts)
    assert found.training_facts() == trained.training_facts()
    assert found.evaluate == other.evaluate and found.data.out_of_distribution == ("noise",)
    assert found.data.unreadable == "skip"
    with pytest.raises(ConfigError, match="no such key"):
        other.as_trained({**facts, "unknown": 1})


def test_every_key_of_every_family_is_described():
    lines = list(config_lib.describe_keys())
    groups = [getattr(Config(), f.name) for f in dataclasses.fields(Config) if f.name != "model"]
    groups += [cls() for cls in config_lib.MODEL_CONFIGS.values()]
    number = sum(len(dataclasses.fields(v)) if dataclasses.is_dataclass(v) else 1 for v in groups)
    assert len(lines) == number
    said = "\n      Images per step over all replicas."
    assert f"train.batch_size=64: an integer of at least 1{said}" in lines
    said = "\n      Logistics per pixel."
    assert f"model.num_mixtures=5: an integer of at least 1 [pixel_cnn]{said}" in lines
    assert all("\n      " in line for line in lines), "a key without a docstring"


def test_checks_need_no_tensorflow():
    code = "import sys, tfp_ood.cli; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("model", [cls() for cls in families.MODEL_CONFIGS.values()])
def test_what_is_scored_together_has_a_bound(model, side):
    config = Config(data=DataConfig(image_shape=(side, side, 3)), model=model)
    number = config.scoring_batch_size
    assert 1 <= number <= 250
    assert number * model.widest_layer((side, side, 3)) <= 2**26


def test_the_number_of_images_that_are_scored_together_can_be_said():
    small = Config(data=DataConfig(image_shape=(28, 28, 1)), model=families.VAEConfig())
    assert small.scoring_batch_size == 250
    large = dataclasses.replace(small, data=DataConfig(image_shape=(128, 128, 3)))
    assert large.scoring_batch_size == 5  # of 12.6 million logits each
    told = dataclasses.replace(large, evaluate=EvaluateConfig(batch_size=7))
    assert told.scoring_batch_size == 7
