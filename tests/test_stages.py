"""A third kind of experiment is what its own module says, and one line in the registry."""

import dataclasses
import functools
import json

import ml_collections
import PIL.Image
import pytest

from tfp_ood import cli, options, stages
from tfp_ood.config import Config, DataConfig, TrainConfig
from tfp_ood.errors import UserError
from tfp_ood.workdir import open_workdir

CONFIG = """
import ml_collections


def get_config():
    data = {"out_of_distribution": ("constant",)}
    return ml_collections.ConfigDict({"experiment": "toy", "data": data, "seed": 3})
"""

DATA = DataConfig(in_distribution="noise", out_of_distribution=("constant",))


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """Of images that need no fetching."""

    experiment: str = options.option("toy", choices=("toy",))
    data: DataConfig = DATA
    seed: int = options.option(0, low=0)

    def training_facts(self):
        return {"seed": self.seed}

    def as_trained(self, facts):
        return dataclasses.replace(self, **facts)


def from_config_dict(given: ml_collections.ConfigDict) -> ToyConfig:
    given = given.to_dict()
    data = options.merged(dataclasses.asdict(DATA), given["data"])
    return options.build(ToyConfig, {**given, "data": data}, "")


def describe_keys():
    yield "seed=0: an integer of at least 0"


@pytest.fixture(name="done")
def _done(monkeypatch):
    """Registers the experiment; (stage, seed) of what was run."""
    done = []

    def stage(name):
        return lambda config, workdir, data_dir: done.append((name, config.seed))

    names = ("train", "report", "export")
    toy = stages.Experiment(
        name="toy",
        from_config_dict=from_config_dict,
        describe_keys=describe_keys,
        stages={
            "prepare": functools.partial(stages.prepare, lambda _: pytest.fail("TensorFlow")),
            **{name: stage(name) for name in names},
        },
        combined={"run": ("prepare", "train", "report")},
        judging=("report",),
    )
    monkeypatch.setattr(cli, "EXPERIMENTS", (*cli.EXPERIMENTS, toy))
    return done


@pytest.fixture(name="command")
def _command(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(CONFIG)
    return ["main.py", f"--config={path}", f"--workdir={tmp_path / 'run'}"]


def test_a_run_is_its_stages_in_order_and_others_are_asked_for(done, command):
    assert cli.main([*command, "--config.seed=5"]) == 0
    assert done == [("train", 5), ("report", 5)]
    assert cli.main([*command, "--mode=export"]) == 0
    assert done[2:] == [("export", 3)]


def test_what_a_later_stage_would_refuse_is_refused_by_all_workers(tmp_path, monkeypatch):
    """Or those that train would wait for the one that judges."""
    done = []

    def refuse(*_):
        raise UserError("too few")

    def stage(*_):
        done.append("a stage")

    experiment = dataclasses.replace(
        stages.LIKELIHOOD,
        stages=dict.fromkeys(stages.LIKELIHOOD.stages, stage),
        checks={"export": refuse},
        join=lambda *_: None,
    )
    config = Config(data=DATA, train=TrainConfig(strategy="multi_worker"))
    for index in (0, 1):
        task = {"type": "worker", "index": index}
        text = json.dumps({"cluster": {"worker": ["a:1", "b:2"]}, "task": task})
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(UserError, match="too few"):
            stages.run(experiment, config, open_workdir(tmp_path / "run"), None, "audit")
    assert done == ["a stage"] * 2  # the sets are prepared


def test_what_to_know_of_folders_is_said_before_work(done, command, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    PIL.Image.new("I;16", (2, 2), 4000).save(photos / "a.png")
    (photos / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    flags = [f"--config.data.out_of_distribution=constant,folder:{photos}"]
    assert cli.main([*command, *flags, "--mode=prepare"]) == 0
    listed, others, deep = capsys.readouterr().err.splitlines()
    assert listed == f"folder:{photos}: not looked at: 1 (b.HEIC (HEIC))"
    assert "seem to be images: 1 in all" in others and "go from 4,000 to 4,000" in deep
    (photos / "c.png").write_bytes(b"x")
    assert cli.main([*command, *flags]) == 2 and not done
    assert "c.png: cannot be read (it is no image of" in capsys.readouterr().err


def test_it_trains_in_one_process(done, command, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")  # at which others stop
    assert cli.main(command) == 0
    assert len(done) == 2


WRONG = {
    "mode": (["--mode=sample"], "is one of prepare, train, report, export, run."),
    "value": (["--config.seed=-1"], "config.seed: got -1; valid is an integer of at least 0."),
    "type": (["--config.seed=x"], "config.seed: got 'x'; valid is an integer of at least 0."),
    "key": (["--config.sead=1"], "did you mean seed"),
    "nothing to judge": (["--config.data.out_of_distribution="], "at least one set to judge"),
    "set": (["--config.data.out_of_distribution=minst"], "did you mean mnist"),
    "experiment": (["--config.experiment=tay"], "did you mean toy"),
}


@pytest.mark.parametrize(("flags", "said"), WRONG.values(), ids=WRONG)
def test_wrong_input_ends_with_one_sentence_and_code_2(flags, said, done, command, capsys):
    assert cli.main([*command, *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp_ood: ") and said in error and error.count("\n") == 1
    assert not done


def test_help_and_show_know_its_keys(done, command, capsys):
    assert cli.main(["main.py", "--help"]) == 0
    expected = "Config of configs/toy.py:\n  --config.seed=0: an integer of at least 0\n"
    assert capsys.readouterr().out.endswith(expected)
    assert cli.main([*command, "--mode=show"]) == 0
    assert "* seed                      3  (default: 0)\n" in capsys.readouterr().out
    assert not done
