"""Work directories, image folders, data directories and exports of any name, part by part.

`test_cli.py::test_an_audit_of_a_folder` runs all stages in such folders. Each nasty name by itself
is tried where no TensorFlow is needed: in `test_paths.py`, `data/test_places.py` and, as texts of
figures, `reporting/test_lettering.py`. Patterns for Beam are in `beam/test_pipeline.py`.
"""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.damaged import spoil
from tests.evaluation import fakes
from tests.nasty import ALL, NASTY, NO_PATTERN, NOT_UTF_8
from tfp_ood import cli, paths, trajectory
from tfp_ood.config import Config, DataConfig
from tfp_ood.data import broken_records, pipeline
from tfp_ood.errors import DataError
from tfp_ood.evaluation import tables
from tfp_ood.keras import keras
from tfp_ood.reporting import html
from tfp_ood.training.weights import read_weights, write_weights
from tfp_ood.workdir import open_workdir

QUICKSTART = pathlib.Path(__file__).parents[1] / "configs" / "quickstart.py"
NAMES = {
    "brackets": NASTY["brackets"],
    "all": ALL,
    "no pattern": NO_PATTERN,
    "200 characters": NASTY["200 characters"],
}


@pytest.fixture(name="folder", params=NAMES.values(), ids=NAMES)
def _folder(request, tmp_path):
    """A folder with such a name."""
    (tmp_path / request.param).mkdir()
    return tmp_path / request.param


def test_a_work_directory(folder):
    """Its lock, record, tables and pages; what TensorFlow writes in it is read again."""
    workdir, name = open_workdir(folder), f"folder:{folder}"
    with workdir.locked():
        workdir.claim(Config())
    assert workdir.differences(Config()) == []
    bits = np.linspace(1, 2, 6)
    fakes.write(folder, bits, name, "all")
    table = tables.read_score_table(workdir.score_table(name, "all"))
    assert table.key == f"{name}/all"
    np.testing.assert_allclose(table.bits_per_dim, bits)
    scored = trajectory.scored(name, "all", np.arange(6), table.log_prob, fakes.NUM_DIMS)
    trajectory.write(workdir.trajectory, 3, [scored])
    found = trajectory.read(workdir.trajectory)[3][f"{name}/all"]
    np.testing.assert_array_equal(found.log_prob, table.log_prob)
    page = html.write(workdir.report, name, [name], [html.section(name, "")])
    assert page.path.read_text(encoding="utf-8").count(html.escape(name)) == 4
    model, other = (keras.Sequential([keras.layers.Dense(2)]) for _ in range(2))
    for one in (model, other):
        one.build([None, 3])
    workdir.model.mkdir()
    write_weights(model, workdir.model / "weights")
    read_weights(other, workdir.model / "weights")
    np.testing.assert_array_equal(*(one.get_weights()[0] for one in (model, other)))


def test_an_export(folder):
    module = tf.Module()
    module.weight = tf.Variable([3.0])
    tf.saved_model.save(module, paths.for_tensorflow(folder / "model"))
    moved = folder.with_name(f"{folder.name[:60]} moved")
    folder.rename(moved)
    assert {path.name for path in (moved / "model").iterdir()} >= {"saved_model.pb", "variables"}
    loaded = tf.saved_model.load(paths.for_tensorflow(moved / "model"))
    assert loaded.weight.numpy() == 3


def test_a_data_directory(folder, stored_sets):
    shutil.copytree(stored_sets, folder, dirs_exist_ok=True)
    split, usual = (
        pipeline.open_split("mnist", "out", DataConfig(), str(path))
        for path in (folder, stored_sets)
    )
    for ours, theirs in zip(pipeline.load(split), pipeline.load(usual), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    path, lost = spoil(folder), tf.errors.DataLossError(None, None, "corrupted record at 12")
    with pytest.raises(DataError) as error:
        broken_records.name_file(lost, ["mnist"], str(folder))
    assert f"mnist: {path} is damaged (corrupted record" in str(error.value)


def test_a_folder_of_images(folder):
    """Whose images are in classes of such names."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4), np.uint8)
    for number, values in enumerate(pixels):
        place = folder / (f"{folder.name}2" if number else folder.name)
        place.mkdir(exist_ok=True)
        Image.fromarray(values).save(place / f"{number}{folder.name[:40]}.png")
    data = DataConfig(image_shape=(4, 4, 1))
    images, labels = pipeline.load(pipeline.open_split(f"folder:{folder}", "out", data, None))
    np.testing.assert_array_equal(images[..., 0], pixels)
    assert labels.tolist() == [0, 1, 1]


def test_an_array(folder):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    path = folder / f"{folder.name}.npy"
    np.save(path, images)
    split = pipeline.open_split(f"array:{path}", "out", DataConfig(image_shape=(8, 8, 1)), None)
    np.testing.assert_array_equal(pipeline.load(split)[0], images)


FLAGS = ("workdir=", "data_dir=", "config.data.in_distribution=folder:", "reference=")


@pytest.mark.parametrize("flag", FLAGS)
def test_names_that_are_not_utf_8_are_refused_before_work(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [f"--config={QUICKSTART}", "--workdir=run", f"--{flag}{NOT_UTF_8}"]
    assert cli.main(["main.py", *flags]) == 2
    error = capsys.readouterr().err
    assert "valid is a path in UTF-8, such as that of a link to it" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
