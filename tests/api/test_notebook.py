"""docs/tour.ipynb runs, in small, and what is committed are outputs of a real run."""

import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[2]
PATH = ROOT / "docs" / "tour.ipynb"
SMALL = """
DATA_DIR = {data_dir!r}
WORKDIR = "tour"
NUM_IMAGES = 20
NUM_JUDGED = 7
NUM_STEPS = 4
FALSE_ALARM_RATE = 0.5
"""
SHORTER = """
train = dataclasses.replace(config.train, batch_size=4, warmup_steps=1)
model = dataclasses.replace(config.model, num_levels=1, num_steps=1, num_hidden=4)
evaluate = dataclasses.replace(config.evaluate, num_trajectory=0)
config = dataclasses.replace(config, train=train, model=model, evaluate=evaluate)
config = dataclasses.replace("""
TINY = """
import tensorflow as tf
from tfp_ood.data import prepare
prepare.check_counts = lambda spec, data_dir: None
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # see conftest
"""


@pytest.fixture(name="notebook")
def _notebook():
    return nbformat.read(PATH, as_version=4)


def outputs(notebook):
    return [one for cell in notebook.cells for one in cell.get("outputs", ())]


def printed(notebook):
    return "".join(one["text"] for one in outputs(notebook) if one["output_type"] == "stream")


def num_pictures(notebook):
    return sum("image/png" in one.get("data", {}) for one in outputs(notebook))


def test_it_runs(notebook, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    names = [line.split(" = ")[0] for line in parameters.source.splitlines()]
    small = SMALL.format(data_dir=data_dir)
    assert names == [line.split(" = ")[0] for line in small.strip().splitlines()]
    parameters.source = TINY + small
    (fit,) = (cell for cell in cells if "run = tfp_ood.fit(" in cell.source)
    fit.source = fit.source.replace("config = dataclasses.replace(", SHORTER, 1)
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    told = printed(notebook)
    assert "AUROC of all detectors combined: " in told and "flagged: [" in told
    assert num_pictures(notebook) == 4
    assert (tmp_path / "tour" / "report" / "index.html").exists()


def test_what_is_committed_is_a_real_run_and_small(notebook):
    assert PATH.stat().st_size < 600_000
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert not [one for one in outputs(notebook) if one["output_type"] == "error"]
    told = printed(notebook)
    assert "(12000, 28, 28, 1) uint8" in told and num_pictures(notebook) == 4
    words = dict(line.rpartition(": ")[::2] for line in told.splitlines() if "AUROC" in line)
    assert float(words["AUROC of likelihood as a detector"]) < 0.5
    assert float(words["AUROC of all detectors combined"]) > 0.9
    assert "/" not in told.replace("bits/dim", ""), "a machine's paths"
