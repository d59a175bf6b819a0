"""A work directory belongs to one training config."""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

from tests import disk
from tfp_ood import atomic, cli
from tfp_ood.config import Config, DataConfig, TrainConfig, VAEConfig
from tfp_ood.errors import DiskFullError, UserError
from tfp_ood.workdir import open_workdir

QUICKSTART = pathlib.Path(__file__).parents[1] / "configs" / "quickstart.py"


def test_another_config_is_refused_by_name(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.check(Config())
    workdir.claim(Config())
    workdir.claim(Config())
    before = workdir.config.read_text()
    other = dataclasses.replace(Config(), seed=3)
    for call in (workdir.check, workdir.claim):
        with pytest.raises(UserError, match=r"config\.seed was 0, now 3"):
            call(other)
    assert workdir.config.read_text() == before


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.1), (0.1, 0.0)])
def test_what_a_key_was_is_true_of_one_that_older_runs_lack(before, after, tmp_path):
    """Whose record does not hold it while it has its default."""
    workdir = open_workdir(tmp_path)
    config, other = (
        dataclasses.replace(Config(), train=TrainConfig(mutation_rate=value))
        for value in (before, after)
    )
    workdir.claim(config)
    assert workdir.differences(config) == []
    assert workdir.differences(other) == [
        f"config.train.mutation_rate was {before!r}, now {after!r}"
    ]
    said = [f"config.train.mutation_rate was {before!r}, not {after!r}"]
    assert workdir.differences(other, "not") == said


def test_what_is_no_fact_of_a_training_any_more_may_change(tmp_path):
    """Earlier versions wrote how files that cannot be read were met."""
    workdir = open_workdir(tmp_path)
    workdir.claim(Config())
    facts = json.loads(workdir.config.read_text())
    assert "unreadable" not in facts["data"]
    facts["data"]["unreadable"] = "skip"
    workdir.config.write_text(json.dumps(facts))
    for value in ("error", "skip"):
        config = dataclasses.replace(Config(), data=DataConfig(unreadable=value))
        workdir.check(config)
        assert workdir.as_trained(config) == config


def test_keys_of_another_family_are_absent_and_not_none(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.claim(Config())
    said = workdir.differences(dataclasses.replace(Config(), model=VAEConfig()))
    assert "config.model.family was 'glow', now 'vae'" in said
    assert "config.model.num_levels was 2, now absent" in said
    assert "config.model.num_latents was absent, now 50" in said
    assert not any("None" in one for one in said)


def test_a_directory_is_itself_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    monkeypatch.chdir(tmp_path)
    run = open_workdir(tmp_path / "run")
    assert all(run.is_same(open_workdir(path)) for path in ("run", "run/../run", "link"))
    assert not run.is_same(open_workdir("run2"))


def test_the_home_of_nobody_is_a_folder_like_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_workdir("~nobody_of_this_name/run").root == tmp_path / "~nobody_of_this_name/run"


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        open_workdir(tmp_path).check(Config())


def test_folders_of_a_run_s_names_that_are_of_none_are_not_removed(tmp_path):
    (tmp_path / "samples").mkdir()
    open_workdir(tmp_path).claim(Config())  # an empty one is nobody's
    (tmp_path / "samples" / "mine.txt").touch()
    open_workdir(tmp_path).claim(Config())  # of a run, which may train again
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds samples, which a training would remove"):
        open_workdir(tmp_path).claim(Config())
    assert not (tmp_path / "config.json").exists()


def test_what_cannot_be_removed_is_named_and_a_link_alone_goes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "samples.npy").touch()
    workdir = open_workdir(tmp_path / "run")
    workdir.root.mkdir()
    workdir.samples.symlink_to(tmp_path / "elsewhere")
    workdir.forget_training()
    assert not workdir.samples.exists() and (tmp_path / "elsewhere" / "samples.npy").exists()
    workdir.export.mkdir()
    (workdir.export / "model_card.md").touch()

    def refuse(path):
        raise PermissionError("not yours")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(UserError, match=r"export, of an earlier .* cannot be removed \(not yours"):
        workdir.forget_training()


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--workdir"):
        open_workdir(tmp_path / "file" / "run").claim(Config())


def test_a_full_disk_is_no_place_that_cannot_be_written(tmp_path, monkeypatch):
    full = pytest.raises(DiskFullError, match="the disk is full")
    with full, atomic.full_disk_named(), disk.files_up_to(10):
        open_workdir(tmp_path / "claimed").claim(Config())

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "held", no_room)
    with full, atomic.full_disk_named(), open_workdir(tmp_path / "locked").locked():
        pass


def test_images_that_changed_are_refused(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.check_images("any")
    workdir.claim(Config(), "old")
    workdir.check_images("old")
    for call in (workdir.check_images, lambda version: workdir.claim(Config(), version)):
        with pytest.raises(UserError, match=r"in_distribution have changed since the training"):
            call("new")


HOLD = """
import sys, time
from tfp_ood.workdir import open_workdir
with open_workdir(sys.argv[1]).locked():
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture(name="holder")
def _holder(tmp_path):
    """A real process that is in `tmp_path / "run"`."""
    path = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_who_is_in(holder, tmp_path):
    said = rf"in use by another run: process {holder.pid} on {socket.gethostname()}, since 20\d\d-"
    with pytest.raises(UserError, match=said), open_workdir(tmp_path / "run").locked():
        pytest.fail("went in")


def test_the_command_line_is_refused_with_code_2(holder, tmp_path, capsys):
    flags = [f"--config={QUICKSTART}", f"--workdir={tmp_path / 'run'}"]
    for mode in ("run", "train", "evaluate", "sample", "report"):
        assert cli.main(["main.py", *flags, f"--mode={mode}"]) == 2
        error = capsys.readouterr().err
        assert f"in use by another run: process {holder.pid}" in error and error.count("\n") == 1
    assert cli.main(["main.py", "--workdirs=a", f"--workdir={tmp_path / 'run'}"]) == 2
    assert "in use by another run" in capsys.readouterr().err


def test_a_comparison_does_not_lock_what_it_reads(holder, tmp_path, capsys):
    runs = f"--workdirs={tmp_path / 'run'}"
    assert cli.main(["main.py", runs, f"--workdir={tmp_path / 'page'}"]) == 2
    assert "is not a run with a current report" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_ends_the_command_with_code_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    flags = [f"--config={QUICKSTART}", f"--workdir={tmp_path / 'file' / 'run'}"]
    assert cli.main(["main.py", *flags, "--mode=train"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp_ood: --workdir: ") and error.count("\n") == 1


def test_kill_9_gives_the_directory_back_and_its_leftovers_go(holder, tmp_path):
    workdir = open_workdir(tmp_path / "run")
    half = workdir.root / f".config.{holder.pid}.tmp.json"
    half.write_text("{")
    with pytest.raises(UserError), workdir.locked():
        pass
    assert half.exists()
    holder.kill()
    holder.wait()
    with workdir.locked():
        assert not half.exists()
        assert json.loads((workdir.root / ".lock").read_text())["process"] == os.getpid()
    assert not list(workdir.root.iterdir())


def test_a_run_that_is_refused_leaves_no_directory(tmp_path):
    workdir = open_workdir(tmp_path / "run")
    with pytest.raises(UserError), workdir.locked():
        raise UserError("wrong images")
    assert not workdir.root.exists()
    with workdir.locked():
        workdir.claim(Config())
    assert sorted(p.name for p in workdir.root.iterdir()) == ["config.json", "images.txt"]


def test_a_lock_that_is_not_written_yet_is_respected(tmp_path):
    held = atomic.held(tmp_path / ".lock", "")
    refused = pytest.raises(UserError, match=r"another run\. Wait")
    with held, refused, open_workdir(tmp_path).locked():
        pass


def test_a_place_without_permission_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(UserError, match=r"--workdir: .* cannot be written .*Not a directory")
    with refused, open_workdir(tmp_path / "file" / "run").locked():
        pass

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root is let in everywhere
    refused = pytest.raises(UserError, match=r"cannot be written .*Permission denied")
    with refused, open_workdir(tmp_path).locked():
        pass
