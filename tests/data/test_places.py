"""Sets that share images, and a run among its own images, are refused before work."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest

from tests.nasty import NASTY, NOT_UTF_8
from tfp_ood.config import ConfigError, DataConfig
from tfp_ood.data import places
from tfp_ood.errors import UserError
from tfp_ood.workdir import open_workdir


@pytest.fixture(name="photos")
def _photos(tmp_path):
    """A folder with an image, as far as names tell."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").touch()
    return folder


def data(own, *foreign):
    return DataConfig(in_distribution=str(own), out_of_distribution=tuple(map(str, foreign)))


def test_the_own_folder_by_another_spelling_is_no_foreign_set(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("photos")
    for spelling in ("photos/", "./photos/../photos", f"{tmp_path}/photos", "link"):
        for given in (data(f"folder:{photos}", f"folder:{spelling}"),):
            with pytest.raises(ConfigError, match=r"out_of_distribution: .* are the same"):
                places.check(given)
    with pytest.raises(ConfigError, match="'folder:photos' and 'folder:link' are the same"):
        places.check(data("mnist", "folder:photos", "noise", "folder:link"))


def test_an_array_by_another_spelling(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 8, 1), np.uint8))
    (tmp_path / "b.npy").symlink_to("a.npy")
    with pytest.raises(ConfigError, match="are the same"):
        places.check(data(f"array:{tmp_path}/a.npy", f"array:{tmp_path}/b.npy"))


def test_foreign_folders_share_no_images_with_the_own_one(tmp_path):
    for name in ("all/cats", "all/dogs", "all/.hidden", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").touch()
    for own, foreign in (("all", "all/dogs"), ("all/cats", "all")):
        with pytest.raises(ConfigError, match=f"got 'folder:{tmp_path}/{foreign}'; valid is a fo"):
            places.check(data(f"folder:{tmp_path}/{own}", f"folder:{tmp_path}/{foreign}"))
    places.check(data(f"folder:{tmp_path}/all/cats", f"folder:{tmp_path}/all/dogs"))
    # Which is never looked at.
    places.check(data(f"folder:{tmp_path}/all", f"folder:{tmp_path}/all/.hidden"))
    np.save(tmp_path / "all" / "a.npy", np.zeros((3, 8, 8, 1), np.uint8))
    places.check(data(f"folder:{tmp_path}/all", f"array:{tmp_path}/all/a.npy"))


@pytest.mark.parametrize("below", ["", "runs/a", "new", "../link/runs"])
def test_a_work_directory_among_the_images_is_refused(below, photos, tmp_path):
    (tmp_path / "link").symlink_to("photos")
    workdir = open_workdir(photos / below)
    for given in (data(f"folder:{photos}", "mnist"), data("mnist", "noise", f"folder:{photos}")):
        with pytest.raises(UserError, match=r"^--workdir: .* is inside of folder:"):
            places.check(given, workdir)
        places.check(given)  # of --mode=prepare


def test_a_work_directory_where_a_link_among_the_images_leads_is_refused(tmp_path):
    """Its pages would be images of the next run."""
    for name in ("all", "elsewhere/more"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").touch()
    (tmp_path / "all" / "sub").mkdir()
    (tmp_path / "all" / "sub" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "all" / "a.png").rename(tmp_path / "all" / "sub" / "a.png")
    own = data(f"folder:{tmp_path}/all")
    for inside in ("elsewhere/run", "elsewhere/more/run"):
        with pytest.raises(UserError, match=r"^--workdir: .* is inside of folder:"):
            places.check(own, open_workdir(tmp_path / inside))
    for outside in ("run", "elsewhere/.run", "elsewhere2"):
        places.check(own, open_workdir(tmp_path / outside))


def test_other_work_directories_are_fine(photos, tmp_path):
    given = data(f"folder:{photos}", "mnist")
    for name in ("run", "photos.run", "photos/.run", "photos/../run", "."):
        places.check(given, open_workdir(tmp_path / name))


@pytest.mark.parametrize("below", ["report", "samples/kept", "progress"])
def test_images_among_what_the_run_writes_are_refused(below, photos, tmp_path):
    (tmp_path / "run" / below).parent.mkdir(parents=True)
    shutil.copytree(photos, tmp_path / "run" / below)
    shutil.copytree(photos, tmp_path / "run" / "mine")
    workdir = open_workdir(tmp_path / "run")
    with pytest.raises(UserError, match=rf"run/{below.split('/')[0]}, which the run of this"):
        places.check(data("mnist", f"folder:{tmp_path}/run/{below}"), workdir)
    places.check(data(f"folder:{tmp_path}/run/mine", "mnist"), workdir)


@pytest.mark.parametrize("path", ["gs://bucket/photos", "s3://b/a.npy", NOT_UTF_8, "x" * 300])
@pytest.mark.parametrize("kind", ["folder", "array"])
def test_paths_that_no_run_can_use_are_refused(kind, path):
    for given in (data(f"{kind}:{path}", "mnist"), data("mnist", f"{kind}:{path}")):
        with pytest.raises(ConfigError, match=f"valid is a .*path.* after `{kind}:`"):
            places.check(places.absolute(given))


def test_how_to_quote_is_said_where_a_comma_may_have_been_meant(photos):
    for names in (["folder:/no/a", " b"], [f"folder:{photos}", "2024"]):
        with pytest.raises(ConfigError, match=r"""as in '"folder:a, b",mnist'\.$"""):
            places.check(data("mnist", *names))
    with pytest.raises(ConfigError) as error:
        places.check(data("mnist", "minst", "noise"))
    assert "quotes" not in str(error.value)


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_any_other_name_is_found(name, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos.rename(tmp_path / name)
    found = places.absolute(data(f"folder:{name}", "mnist"))
    assert found.in_distribution == f"folder:{tmp_path}/{name}"
    assert found.out_of_distribution == ("mnist",)
    monkeypatch.chdir("/")
    places.check(found, open_workdir(tmp_path / f"{name[:9]} run"))


def test_a_run_s_record_holds_from_any_directory(photos, tmp_path, monkeypatch):
    """Those of earlier versions, too, from where they were made."""
    from tfp_ood.config import Config

    def config(own):
        return dataclasses.replace(Config(), data=places.absolute(data(own, "mnist")))

    monkeypatch.chdir(tmp_path)
    workdir = open_workdir("run")
    workdir.claim(config("folder:photos"))
    assert f'"folder:{photos}"' in pathlib.Path("run", "config.json").read_text()
    older = open_workdir("older")
    older.claim(dataclasses.replace(Config(), data=data("folder:photos", "mnist")))
    assert older.differences(config(f"folder:{photos}")) == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert workdir.differences(config("folder:../photos/")) == []
    assert workdir.differences(config("folder:photos")) != []
    found = config("mnist").as_trained(workdir.trained_facts())
    assert found.data.in_distribution == f"folder:{photos}"
