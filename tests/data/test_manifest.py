"""Files that have not changed are not decoded and hashed at every start."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from tfp_ood.config import DataConfig
from tfp_ood.data import image_files, manifest, pipeline


@pytest.fixture(name="photos")
def _photos(tmp_path):
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for name in ("a.png", "b.png", os.fsdecode(b"caf\xe9.png")):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(folder / "x.png")
        os.rename(folder / "x.png", folder / name)
    (folder / "broken.jpg").write_bytes(b"x")
    Image.fromarray(np.arange(30, dtype=np.uint16).reshape(6, 5)).save(folder / "deep.png")
    return folder


@pytest.fixture(name="opened")
def _opened(photos, tmp_path, monkeypatch):
    """Opens the folder as another process would, and says which files were decoded for it."""
    looked, look = [], image_files._look
    monkeypatch.setattr(image_files, "_look", lambda path: looked.append(path) or look(path))

    def opened(may_write=True, place="manifests"):
        looked.clear()
        image_files._open_folder.cache_clear()
        with manifest.kept_in(tmp_path / place, lambda: may_write):
            folder = image_files.open_folder(str(photos), "skip")
        return folder, sorted(os.path.basename(path) for path in looked)

    return opened


def test_the_second_start_looks_at_nothing_and_knows_the_same(photos, opened):
    first, looked = opened()
    assert len(looked) == 5 and len(first.paths) == 4
    second, looked = opened()
    assert looked == [] and second == first and second.prints == first.prints
    assert first.skipped == second.skipped and len(first.skipped) == 1
    assert first.version == image_files.version(first.paths, str(photos))


def test_sets_that_are_changed_look_at_no_file_again(photos, opened):
    """In the same process, as an evaluation opens them, beside the folder itself."""
    from_folder, looked = opened()
    assert len(looked) == 5
    looked_before = image_files._open_folder.cache_info().misses
    data = DataConfig(
        f"folder:{photos}",
        ("contrast:0.5", "dimmed:0.25"),
        (8, 8, 1),
        unreadable="skip",
        size_change="resize",
        channel_change="convert",
    )
    with manifest.kept_in(photos.parent / "manifests", lambda: True):
        sets = [pipeline.open_split(name, "out", data, None) for name in data.out_of_distribution]
    assert image_files._open_folder.cache_info().misses == looked_before
    assert len(sets) == 2 and len(from_folder.paths) == 4


def test_files_that_changed_are_looked_at_again(photos, opened):
    first, _ = opened()
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(photos / "b.png")
    (photos / "a.png").rename(photos / "c.png")
    second, looked = opened()
    assert looked == ["b.png", "c.png"] and second.version != first.version
    assert opened()[1] == []
    (photos / "c.png").unlink()
    third, looked = opened()
    assert looked == [] and len(third.paths) == 3
    os.utime(photos / "b.png", ns=(1, 1))  # perhaps another file of this size
    fourth, looked = opened()
    assert looked == ["b.png"] and fourth.version == third.version


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
@pytest.mark.parametrize("part", ["_digest", "decoding.decode_any"])
def test_what_the_machine_failed_at_is_looked_at_again(photos, opened, monkeypatch, error, part):
    """A file that is mended by a mount, or by more memory, has the size and time that it had."""
    place, _, name = f"image_files.{part}".rpartition(".")
    owner = {"image_files": image_files, "image_files.decoding": image_files.decoding}[place]
    whole = getattr(owner, name)

    def failing(path):
        if not path.endswith("a.png"):
            return whole(path)
        if part == "_digest":
            raise OSError(errno.EACCES, "Permission denied")
        raise image_files.decoding.UnreadableError("x") from error

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, failing)
        first, _ = opened()
    assert len(first.paths) == 3 and len(first.skipped) == 2
    second, looked = opened()
    assert looked == ["a.png"] and len(second.paths) == 4
    assert opened()[1] == []


def test_nothing_is_kept_where_nothing_may_be_written(opened, tmp_path):
    opened(may_write=False)
    assert not (tmp_path / "manifests").exists()
    assert len(opened()[1]) == 5


def test_what_was_looked_at_before_it_may_be_kept_is_kept_then(photos, opened, tmp_path):
    """As soon as a training claims the directory: it may be killed."""
    is_ours = False
    image_files._open_folder.cache_clear()
    with manifest.kept_in(tmp_path / "manifests", lambda: is_ours):
        folder = image_files.open_folder(str(photos), "skip")
        manifest.write_waiting()
        assert not (tmp_path / "manifests").exists()
        is_ours = True
        manifest.write_waiting()
        (file,) = (tmp_path / "manifests").iterdir()
        before = file.stat().st_mtime_ns
        manifest.write_waiting()
        assert file.stat().st_mtime_ns == before
    manifest.write_waiting()  # without manifests nothing waits
    second, looked = opened()
    assert looked == [] and second == folder


def test_manifests_that_cannot_be_used_are_made_again(opened, tmp_path, monkeypatch):
    opened()
    (file,) = (tmp_path / "manifests").iterdir()
    whole = file.read_bytes()
    for content in (b"", b"x", whole[: len(whole) // 2]):
        file.write_bytes(content)
        assert len(opened()[1]) == 5
        assert opened()[1] == []
    monkeypatch.setattr(manifest.PIL, "__version__", "99")  # which may decode otherwise
    assert len(opened()[1]) == 5
