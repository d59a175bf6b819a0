"""Paths: which a run can use, where they are, and how TensorFlow is given them."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.nasty import NASTY, NOT_UTF_8
from tfp_ood import paths
from tfp_ood.errors import UserError

WRONG = {
    "gs://bucket/run": "a folder that gs:// is mounted in",
    "S3://bucket/run": "a folder that S3:// is mounted in",
    "hdfs://host/run": "hdfs://",
    "file:///data/run": "a path without file://",
    NOT_UTF_8: "a path in UTF-8",
    "x" * 256: "at most 255 bytes",
    "x/" * 3000: "a shorter path",
    "a\0b": "a character of code 0",
}


@pytest.mark.parametrize(("path", "said"), WRONG.items(), ids=[ascii(path)[:20] for path in WRONG])
def test_what_no_run_can_use_is_refused_in_one_sentence(path, said):
    with pytest.raises(UserError) as error:
        paths.check_flag("workdir", path)
    message = str(error.value)
    assert message.startswith("--workdir: got ") and said in message and "\n" not in message
    message.encode()


@pytest.mark.parametrize("path", [*NASTY.values(), "", "~", "gs:/x", "://b", "x" * 255])
def test_all_else_is_valid(path):
    paths.check_flag("workdir", path, None)


def test_a_relative_path_in_a_folder_that_no_run_can_use_is_refused(tmp_path, monkeypatch):
    folder = os.path.join(os.fsencode(tmp_path), os.fsencode(NOT_UTF_8))
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))
    assert "UTF-8" in paths.not_valid("run")
    assert paths.not_valid("") == "" == paths.not_valid("/data")


def test_names_of_sets_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    expected = {
        "folder:photos/../photos/": f"folder:{tmp_path}/photos",
        "array:a:b.npy": f"array:{tmp_path}/a:b.npy",
        "folder:~/x": "folder:/home/me/x",
        "folder:/x": "folder:/x",
        "folder:": "folder:",
        "folder:gs://x": "folder:gs://x",
        "mnist": "mnist",
        "contrast:0.5": "contrast:0.5",
    }
    assert {name: paths.absolute_name(name) for name in expected} == expected
    assert paths.absolute_name(3) == 3  # of another program's config.json


def test_places_are_what_paths_lead_to(tmp_path):
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    assert paths.place(tmp_path / "link" / "below" / "..") == paths.place(tmp_path / "real")
    assert paths.is_inside(tmp_path / "link" / "new" / "run", tmp_path / "real")
    assert paths.is_inside(tmp_path / "real", tmp_path / "link")
    assert not paths.is_inside(tmp_path / "really", tmp_path / "real")


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_tensorflow_gets_a_name_without_patterns(name, tmp_path):
    folder = tmp_path / name / "deep"
    folder.mkdir(parents=True)
    plain = paths.for_tensorflow(folder)
    assert not set(plain) & set("*?[\\") and os.path.samefile(plain, folder)
    pathlib.Path(plain, "file").write_text("x")
    assert (folder / "file").read_text() == "x"
    again = paths.for_tensorflow(folder.parent / "other" / "name")
    assert os.path.dirname(os.path.dirname(again)) == os.path.dirname(plain)  # one link for all


def test_links_go_when_the_process_ends(tmp_path):
    (tmp_path / "a [1]").mkdir()
    (tmp_path / "a [1]" / "kept").touch()
    code = "import sys; from tfp_ood import paths; print(paths.for_tensorflow(sys.argv[1]))"
    argv = [sys.executable, "-c", code, str(tmp_path / "a [1]")]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path}/tfp_ood-")
    assert os.listdir(tmp_path) == ["a [1]"] and os.listdir(tmp_path / "a [1]") == ["kept"]


def test_a_temporary_folder_that_is_a_pattern_is_refused(tmp_path, monkeypatch):
    (tmp_path / "t [1]").mkdir()
    monkeypatch.setattr(paths.tempfile, "tempdir", str(tmp_path / "t [1]"))
    with pytest.raises(UserError, match=r"^TMPDIR: got .*t \[1\].*; valid is a folder without \*"):
        paths.for_tensorflow(tmp_path / "t [1]")
