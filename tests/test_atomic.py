import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import disk
from tfp_ood import atomic
from tfp_ood.errors import DiskFullError


def test_the_file_appears_whole_in_a_new_folder_and_nothing_else_does(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic.replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def ended_process():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_are_removed_and_nothing_else(tmp_path):
    dead = ended_process()
    names = [f".a.{dead}.tmp.json", f"scores/.b.c.{dead}.tmp.parquet", f".d.{os.getpid()}.tmp.npy"]
    kept = ["a.json", f".e.{os.getppid()}.tmp.json", f"e.{dead}.tmp.json", ".f.tmp", ".g.x.tmp.y"]
    kept.append(f"scores/deep/.h.{dead}.tmp.json")  # no place of ours
    for name in (*names, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / f".model.{dead}.tmp").mkdir()
    (tmp_path / f".model.{dead}.tmp" / "weights.index").write_text("half")
    atomic.remove_leftovers(tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(kept) and not (tmp_path / f".model.{dead}.tmp").exists()


def test_the_names_that_writers_use_are_leftovers(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", ended_process)
    with atomic.replacing(tmp_path / "a.b.parquet") as path:
        path.write_text("")
        with atomic.replacing(tmp_path / "no_suffix") as other:
            other.write_text("")
            with atomic.replacing_folder(tmp_path / "folder") as folder:
                atomic.remove_leftovers(tmp_path)
                assert not any(p.exists() for p in (path, other, folder))
                for p in (path, other):
                    p.write_text("")
                folder.mkdir()


def test_a_link_in_the_place_of_a_folder_is_replaced(tmp_path):
    """What it leads to, perhaps on another disk, stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old").write_text("old")
    (tmp_path / "made").symlink_to(tmp_path / "elsewhere")
    for text in ("first", "second"):
        with atomic.replacing_folder(tmp_path / "made") as folder:
            (folder / "new").write_text(text)
    assert not (tmp_path / "made").is_symlink()
    assert (tmp_path / "made" / "new").read_text() == "second"
    assert (tmp_path / "elsewhere" / "old").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"made", "elsewhere"}


def test_a_folder_whose_files_cannot_be_removed_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("old")
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda *_, **__: None)
    with atomic.replacing_folder(tmp_path / "made") as folder:
        (folder / "new").write_text("new")
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["new"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("old")
    replace = os.replace

    def failing(source, target):
        if (pathlib.Path(source) / "new").exists():
            raise PermissionError("no")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", failing)
    with pytest.raises(PermissionError), atomic.replacing_folder(tmp_path / "made") as folder:
        (folder / "new").write_text("new")
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["made", "made/old"]


def test_a_held_file_is_refused_until_it_is_given_back(tmp_path):
    path = tmp_path / ".lock"
    with atomic.held(path, "me"):
        assert path.read_text() == "me"
        with pytest.raises(atomic.HeldError, match="me"), atomic.held(path, "you"):
            pass
        assert path.read_text() == "me"
    assert not path.exists()
    path.write_text("a longer note of a killed process")
    with atomic.held(path, "you"):
        assert path.read_text() == "you"


@pytest.mark.parametrize("number", atomic.FULL)
def test_a_full_disk_is_named(number):
    with pytest.raises(DiskFullError, match="make room and run the same"), atomic.full_disk_named():
        raise OSError(number, os.strerror(number))


def test_tensorflow_s_words_for_a_full_disk_are_known(tmp_path):
    full = tf.errors.ResourceExhaustedError(None, None, "a/b.index; No space left on device")
    with pytest.raises(DiskFullError, match=r"a/b\.index; No space"), atomic.full_disk_named():
        raise full
    with disk.files_up_to(10), pytest.raises(DiskFullError), atomic.full_disk_named():
        tf.io.write_file(str(tmp_path / "full"), "more than ten bytes")


@pytest.mark.parametrize(
    "error", [FileNotFoundError("a"), tf.errors.InternalError(None, None, "a"), ValueError("a")]
)
def test_other_errors_are_not_called_a_full_disk(error):
    with pytest.raises(type(error)), atomic.full_disk_named():
        raise error


# Of 3,000 bytes what is missing is still in a buffer when the file is closed.
@pytest.mark.parametrize("size", [3_000, 100_000, 10_000_000])
def test_an_array_is_whole_or_the_disk_is_full(size, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (size // 10, 10)).astype(np.uint8)
    for missing in (1, size // 3):
        with (
            pytest.raises(DiskFullError),
            atomic.full_disk_named(),
            disk.files_up_to(size - missing),
        ):
            atomic.save_array(tmp_path / "a.npy", array)
    for one in (array, array.T, array[::2], array[:0]):
        atomic.save_array(tmp_path / "a.npy", one)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), one)
