"""TF_CONFIG: which worker a process is, and what is wrong with it in one sentence."""

import dataclasses
import json
import pathlib

import pytest

from tfp_ood import cli
from tfp_ood.config import Config, ConfigError, TrainConfig
from tfp_ood.errors import UserError
from tfp_ood.rotated.config import RotatedConfig
from tfp_ood.rotated.stages import ROTATED_DIGITS
from tfp_ood.stages import LIKELIHOOD
from tfp_ood.training import cluster
from tfp_ood.training.cluster import Cluster

ROOT = pathlib.Path(__file__).parents[2]
TWO = ["a:1", "b:2"]


def tf_config(workers=TWO, index=0, kind="worker"):
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": kind, "index": index}})


def config(strategy):
    return Config(train=TrainConfig(strategy=strategy))


@pytest.fixture(name="environment")
def _environment(monkeypatch):
    monkeypatch.delenv(cluster.ENVIRONMENT, raising=False)
    return lambda text: monkeypatch.setenv(cluster.ENVIRONMENT, text)


def test_alone_without_tf_config(environment):
    for strategy in ("auto", "single", "mirrored"):
        assert cluster.of(config(strategy)) == Cluster()
        assert cluster.kind(config(strategy)) == strategy
    assert Cluster().is_chief and Cluster().num_workers == 1


@pytest.mark.parametrize("index", [0, 1, "1"])
def test_auto_joins_the_workers_that_tf_config_names(environment, index):
    environment(tf_config(index=index))
    for strategy in ("auto", "multi_worker"):
        found = cluster.of(config(strategy))
        assert found == Cluster(("a:1", "b:2"), int(index)) and found.num_workers == 2
        assert found.is_chief == (index == 0)
        assert cluster.kind(config(strategy)) == "multi_worker"


def test_single_and_the_rotated_digits_do_not_look(environment):
    environment(tf_config(index=1))
    assert cluster.of(config("single")) == Cluster()
    assert ROTATED_DIGITS.cluster_of(RotatedConfig()) == Cluster()
    assert LIKELIHOOD.cluster_of(config("auto")).num_workers == 2


def test_auto_with_one_worker_is_alone(environment):
    environment(tf_config(["a:1"]))
    assert cluster.kind(config("auto")) == "auto"


def test_one_worker_or_an_empty_tf_config_is_no_cluster(environment):
    """Which TensorFlow's own strategy takes too late, or for a text that is not JSON."""
    environment(tf_config(["a:1"]))
    assert cluster.kind(config("multi_worker")) == "auto"
    assert cluster.of(config("multi_worker")) == Cluster()
    environment("")
    with pytest.raises(ConfigError, match="without TF_CONFIG in the environment"):
        cluster.of(config("multi_worker"))
    assert cluster.kind(config("auto")) == "auto" and cluster.of(config("auto")) == Cluster()


def test_several_workers_need_tf_config(environment):
    with pytest.raises(ConfigError, match=r"train\.strategy: got 'multi_worker'.*TF_CONFIG"):
        cluster.of(config("multi_worker"))


WRONG = {
    "no JSON": ("{", "Expecting"),
    "a list": ("[1]", "list"),
    "no cluster": ("{}", "no 'cluster'"),
    "no task": ('{"cluster": {"worker": ["a:1"]}}', "no 'task'"),
    "servers": ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {}}', "'ps'"),
    "no workers": (tf_config([]), r"workers are \[\]"),
    "no port": (tf_config(["a", "b:1"]), "'a'"),
    "port": (tf_config(["a:70000", "b:1"]), "70000"),
    "twice": (tf_config(["a:1", "a:1"]), "twice"),
    "index": (tf_config(index=2), "'index': 2.*2 workers"),
    "no index": (tf_config(index=None), "None"),
    "type": (tf_config(kind="chief"), "'chief'"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_tf_config_is_named(environment, text, said):
    environment(text)
    with pytest.raises(UserError, match=f"TF_CONFIG cannot be used: .*{said}.*HOST:PORT"):
        cluster.of(config("auto"))


def test_a_wrong_tf_config_ends_the_command_with_code_2(environment, tmp_path, capsys):
    environment("{")
    flags = [f"--config={ROOT / 'configs' / 'quickstart.py'}", f"--workdir={tmp_path / 'run'}"]
    assert cli.main(["main.py", *flags]) == 2
    assert capsys.readouterr().err.startswith("tfp_ood: TF_CONFIG cannot be used")
    assert not (tmp_path / "run").exists()


def test_the_strategy_may_change_between_processes_of_a_run():
    facts = [config(strategy).training_facts() for strategy in ("single", "mirrored")]
    assert facts[0] == facts[1]
    other = dataclasses.replace(config("single"), seed=1)
    assert other.training_facts() != facts[0]
