"""Real processes that are killed or find the disk full, and then the same command again.

A limit of file sizes stands for a full disk: it fails in the same places, and needs no rights.
"""

import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from tests import disk
from tests.test_cli import QUICKSTART, ROOT, command
from tfp_ood import cli
from tfp_ood.config import Config
from tfp_ood.data import pipeline

pytestmark = pytest.mark.slow

_DEADLINE = 300  # seconds, for machines with other work


def start(argv, **kwargs):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    argv = ["tests/tiny_main.py", *argv[1:]] if argv[0] == "main.py" else argv
    return subprocess.Popen([sys.executable, *argv], cwd=ROOT, **pipes, **kwargs)


def run(argv, **kwargs):
    """Exit code and what was said on standard error."""
    process = start(argv, **kwargs)
    _, said = process.communicate(timeout=_DEADLINE)
    return process.returncode, said


def kill_when(process, exists):
    """kill -9 as soon as a condition holds."""
    deadline = time.monotonic() + _DEADLINE
    while not exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module", name="trained")
def _trained(tmp_path_factory, data_dir):
    path = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main([*command(path, data_dir), "--mode=train"]) == 0
    return path


@pytest.fixture(name="workdir")
def _workdir(trained, tmp_path):
    """A trained model of one's own."""
    return pathlib.Path(shutil.copytree(trained, tmp_path / "run"))


NOISE = "--config.data.out_of_distribution=noise"


def scores(workdir):
    return pq.read_table(workdir / "scores" / "noise.all.parquet")


def leftovers(workdir):
    return [path for path in workdir.rglob(".*") if re.search(r"\.tmp(\.|$)", path.name)]


PREPARE = """
import sys
import pytest
from tests.data import tiny
from tfp_ood import cli
from tfp_ood.data import mirrors, prepare

parts = tiny.arrays(num_train=5000)
tiny.pin(pytest.MonkeyPatch(), "mnist", parts)
mirrors.MIRRORS["mnist"] = mirrors.Mirror("this test", lambda folder: parts)
prepare.unreachable = lambda urls: {"example.invalid": "cannot be reached"}
sys.exit(cli.main(["main.py", *sys.argv[1:]]))
"""


def test_kill_9_while_preparing(tmp_path):
    sets = ["--config.data.in_distribution=mnist", "--config.data.out_of_distribution=noise"]
    argv = ["-c", PREPARE, f"--config={QUICKSTART}", *sets]
    argv += ["--mode=prepare", f"--data_dir={tmp_path}"]
    process = start(argv)
    kill_when(process, lambda: list(tmp_path.glob(".preparing-*/mnist/*/*")))
    assert [path.name[:11] for path in tmp_path.iterdir()] == [".preparing-"]
    assert run(argv)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]
    split = pipeline.open_split("mnist", "train", Config().data, str(tmp_path))
    assert len(pipeline.load(split)[0]) == 5000 - Config().data.num_validation


def test_kill_9_while_scoring(workdir, data_dir):
    argv = [*command(workdir, data_dir, NOISE), "--mode=evaluate"]
    process = start(argv)
    kill_when(process, lambda: list(workdir.glob("scores/.noise.all.*.tmp.parquet")))
    assert not (workdir / "scores" / "noise.all.parquet").exists()
    own = (workdir / "scores" / "fashion_mnist.test.parquet").stat().st_mtime_ns
    assert run(argv)[0] == 0
    assert scores(workdir).num_rows == 10_000 and not leftovers(workdir)
    # What was finished was not done again.
    assert (workdir / "scores" / "fashion_mnist.test.parquet").stat().st_mtime_ns == own


def test_disk_full_while_scoring(workdir, data_dir):
    argv = [*command(workdir, data_dir, NOISE), "--mode=evaluate"]
    with disk.files_up_to(100_000):  # which holds for its child too
        code, said = run(argv)
    assert code == 75 and said.strip().splitlines()[-1].startswith("tfp_ood: the disk is full")
    assert not (workdir / "scores" / "noise.all.parquet").exists() and not leftovers(workdir)
    assert run(argv)[0] == 0
    assert scores(workdir).num_rows == 10_000


def test_disk_full_while_a_backup_is_written(tmp_path, data_dir):
    argv = [*command(tmp_path / "run", data_dir, "--config.model.num_hidden=64"), "--mode=train"]
    with disk.files_up_to(60_000):  # which holds for its child too
        code, said = run(argv)
    assert code == 75 and said.strip().splitlines()[-1].startswith("tfp_ood: the disk is full")
    assert not (tmp_path / "run" / "model").exists()
    assert run(argv)[0] == 0
    assert (tmp_path / "run" / "model" / "training.json").exists()


def test_disk_full_while_exporting(workdir, data_dir):
    argv = command(workdir, data_dir, "--config.export.false_alarm_rate=0.5")
    assert run([*argv, "--mode=evaluate"])[0] == 0
    with disk.files_up_to(20_000):  # which holds for its child too
        code, said = run([*argv, "--mode=export"])
    assert code == 75 and said.strip().splitlines()[-1].startswith("tfp_ood: the disk is full")
    assert not (workdir / "export").exists() and not leftovers(workdir)


def test_kill_9_while_exporting(workdir, data_dir):
    flags = ["--config.export.false_alarm_rate=0.5"]  # of four validation images
    argv = command(workdir, data_dir, *flags)
    assert run([*argv, "--mode=evaluate"])[0] == 0
    process = start([*argv, "--mode=export"])
    kill_when(process, lambda: list(workdir.glob(".export.*.tmp/model")))
    assert not (workdir / "export").exists()
    assert run([*argv, "--mode=export"])[0] == 0
    assert (workdir / "export" / "model" / "saved_model.pb").exists() and not leftovers(workdir)
