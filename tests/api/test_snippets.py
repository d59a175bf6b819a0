"""Every snippet of Python in README.md and docs/ runs, those of a document one after the other.

In a folder with what a reader has by then: a finished and exported run, two pictures and an array.
Trainings are of the tests' size.
"""

import dataclasses
import inspect
import pathlib
import re
import shutil

import numpy as np
import PIL.Image
import pytest

import tfp_ood
from tests.api.tiny import CONFIG, FOREIGN, OWN
from tfp_ood.api import fit as fit_lib

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = {
    path.name: re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    for path in DOCUMENTS
}


@pytest.fixture(scope="module", name="folder")
def _folder(run, stored_sets, tmp_path_factory):
    """Where the snippets run."""
    folder = tmp_path_factory.mktemp("reader")
    assert tfp_ood.load_run(run.workdir).export(stored_sets) == run.workdir / "export"
    shutil.copytree(run.workdir, folder / "runs" / "quickstart")
    PIL.Image.fromarray(OWN[0]).save(folder / "a.png")
    (folder / "photos" / "scans").mkdir(parents=True)
    shutil.copy(folder / "a.png", folder / "photos" / "scans")
    PIL.Image.new("RGB", (30, 20), "white").save(folder / "b.jpg")
    np.save(folder / "images.npy", np.concatenate([OWN[:, :, :, np.newaxis], FOREIGN]))
    return folder


@pytest.mark.parametrize("name", [name for name, found in SNIPPETS.items() if found])
def test_snippets_run(name, folder, stored_sets, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    train, trained = fit_lib.fit, []

    def small(images, **given):
        """The first is trained, in small; what others ask for is checked, and is that one again."""
        inspect.signature(train).bind(images, **given)
        few = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, num_test=8))
        given = {**given, "config": few, "data_dir": stored_sets}
        trained[:] = trained or [train(images, **given)]
        return trained[0]

    monkeypatch.setattr("tfp_ood.fit", small)
    monkeypatch.setattr(fit_lib, "fit", small)
    namespace = {}
    for number, text in enumerate(SNIPPETS[name]):
        exec(compile(text, f"{name}, snippet {number + 1}", "exec"), namespace)
    told = capsys.readouterr().out
    assert {
        "README.md": "unlikely",
        "export.md": "image 69: ",
        "own_images.md": "photos/scans/a.png ",
        "python.md": "holds no trained model; run --mode=train first",
    }[name] in told
