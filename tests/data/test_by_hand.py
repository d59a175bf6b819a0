"""Official archives that somebody brought become TFDS sets, and others are refused by name."""

import dataclasses
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from scipy.io import savemat
from tensorflow_datasets.core.download import checksums

from tests.data import tiny
from tfp_ood.data import by_hand, prepare, specs
from tfp_ood.errors import DataError

SILENT = {"example.invalid": "cannot be reached (ConnectionError)"}


@pytest.fixture(autouse=True)
def _no_host_answers(monkeypatch):
    monkeypatch.setattr(prepare, "unreachable", lambda urls: SILENT)


@pytest.fixture(name="manual")
def _manual(tmp_path):
    path = tmp_path / "downloads" / "manual"
    path.mkdir(parents=True)
    return path


def make_official(monkeypatch, name, manual, num_train, num_test):
    """Lets these files and numbers of images pass for the official ones."""
    changed = {"num_train": num_train, "num_test": num_test}
    monkeypatch.setitem(specs.SPECS, name, dataclasses.replace(specs.SPECS[name], **changed))
    known = tfds.builder(specs.SPECS[name].tfds_name, data_dir=str(manual)).url_infos
    for url, info in known.items():
        if info.filename and (manual / info.filename).exists():
            found = checksums.compute_url_info(manual / info.filename)
            monkeypatch.setitem(known, url, found)


def read(name, data_dir, split):
    builder = tfds.builder(specs.SPECS[name].tfds_name, data_dir=str(data_dir))
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def failure(name, data_dir):
    with pytest.raises(DataError) as raised:
        prepare.prepare([name], str(data_dir))
    assert not (data_dir / specs.SPECS[name].relative_dir).exists()
    return str(raised.value)


def write_svhn(manual, num_train=20, num_test=7):
    """Random images; the label of digit 0 is 10 in the files."""
    parts = tiny.arrays((32, 32, 3), num_train, num_test)
    for split, (images, labels) in parts.items():
        y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, np.newaxis]
        savemat(manual / f"{split}_32x32.mat", {"X": np.moveaxis(images, 0, -1), "y": y})
    return parts


def test_svhn(monkeypatch, tmp_path, manual):
    parts = write_svhn(manual)
    make_official(monkeypatch, "svhn_cropped", manual, 20, 7)
    prepare.prepare(["svhn_cropped"], str(tmp_path))
    for split, (images, labels) in parts.items():
        found = {one["id"].decode(): one for one in read("svhn_cropped", tmp_path, split)}
        assert len(found) == len(images)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            one = found[f"{split}_{i:06d}"]
            assert np.array_equal(one["image"], image) and one["label"] == label


def test_files_that_are_not_the_official_ones_are_named(monkeypatch, tmp_path, manual):
    said = failure("svhn_cropped", tmp_path)
    assert "Tried:\n- TFDS's own download: example.invalid cannot be reached" in said
    assert (
        f"Or put the official files train_32x32.mat and test_32x32.mat into {manual} and run the "
        "same command, which checks and prepares them."
    ) in said
    write_svhn(manual)
    (manual / "test_32x32.mat").rename(tmp_path / "test")
    said = failure("svhn_cropped", tmp_path)
    assert (
        f"- the files in {manual}: test_32x32.mat is missing; needed are train_32x32.mat, t" in said
    )
    (tmp_path / "test").rename(manual / "test_32x32.mat")
    size = (manual / "train_32x32.mat").stat().st_size
    wanted = (
        f"train_32x32.mat is not the official file, or not all of it: {size:,} bytes instead of "
    )
    assert f"{wanted}182,040,794\n" in failure("svhn_cropped", tmp_path)
    make_official(monkeypatch, "svhn_cropped", manual, 20, 7)
    content = bytearray((manual / "test_32x32.mat").read_bytes())
    content[-1] ^= 1
    (manual / "test_32x32.mat").write_bytes(content)
    assert "test_32x32.mat is not the official file: its SHA-256 is" in failure(
        "svhn_cropped", tmp_path
    )
    write_svhn(manual, num_train=19)
    make_official(monkeypatch, "svhn_cropped", manual, 20, 7)
    assert f"{manual}: 19 images in split train instead of 20\n" in failure(
        "svhn_cropped", tmp_path
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"X": np.zeros((32, 32, 3, 4), np.uint8)},
            "train_32x32.mat is damaged, or of another kind",
        ),
        (
            {"X": np.zeros((32, 32, 3, 4), np.float32), "y": np.ones((4, 1), np.uint8)},
            "holds images of float32 [4, 32, 32, 3] and 4 labels; valid are uint8 ['N', 32, 32, 3]",
        ),
        (
            {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.ones((3, 1), np.uint8)},
            "4, 32, 32, 3] and 3 labels",
        ),
        (
            {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.full((4, 1), 11, np.uint8)},
            "labels other than 1 to 10",
        ),
        (b"no Matlab", "is damaged, or of another kind"),
    ],
)
def test_mat_files_of_another_kind_are_named(content, said, tmp_path):
    path = tmp_path / "train_32x32.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)
    with pytest.raises(by_hand.ArchiveError) as raised:
        by_hand._mat(str(path), (32, 32, 3))
    assert said in str(raised.value) and str(raised.value).startswith("train_32x32.mat ")


def encoded(image, kind):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def write_celeb_a(manual):
    """Six faces: three to train on, one for validation, two for the test."""
    rng = np.random.default_rng(0)
    names = [f"{i:06d}.jpg" for i in range(1, 7)]
    with zipfile.ZipFile(manual / "img_align_celeba.zip", "w") as archive:
        for name in names:
            image = rng.integers(0, 256, (218, 178, 3), np.uint8)
            archive.writestr(f"img_align_celeba/{name}", encoded(image, "JPEG"))

    def write_list(name, values, *head):
        lines = [*head, *(f"{file} {value}" for file, value in zip(names, values, strict=True))]
        (manual / name).write_text("\n".join(lines) + "\n")

    module = tfds.builder_cls("celeb_a").__module__
    names_of = __import__(module, fromlist=["ATTR_HEADINGS"])
    attributes, landmarks = names_of.ATTR_HEADINGS, names_of.LANDMARK_HEADINGS
    write_list("list_eval_partition.txt", [0, 0, 0, 1, 2, 2])
    yes_and_no = [" ".join(str(1 - 2 * (i % 2)) for _ in attributes) for i in range(6)]
    write_list("list_attr_celeba.txt", yes_and_no, "6", " ".join(attributes))
    places = [" ".join("7" for _ in landmarks)] * 6
    write_list("list_landmarks_align_celeba.txt", places, "6", " ".join(landmarks))
    write_list("identity_CelebA.txt", range(6))


def test_celeb_a(monkeypatch, tmp_path, manual):
    write_celeb_a(manual)
    assert "img_align_celeba.zip is not the official file" in failure("celeb_a", tmp_path)
    make_official(monkeypatch, "celeb_a", manual, 3, 2)
    prepare.prepare(["celeb_a"], str(tmp_path))
    found = read("celeb_a", tmp_path, "test")
    assert [one["image"].shape for one in found] == [(218, 178, 3)] * 2
    assert sorted(os.listdir(tmp_path)) == ["celeb_a", "downloads"]


def test_downsampled_imagenet(monkeypatch, tmp_path, manual):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    for split, some in (("train", images[:3]), ("valid", images[3:])):
        with tarfile.open(manual / f"{split}_32x32.tar", "w") as archive:
            for i, image in enumerate(some):
                content = encoded(image, "PNG")
                member = tarfile.TarInfo(f"{split}_32x32/{i}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    name = "downsampled_imagenet_32x32"
    said = failure(name, tmp_path)
    assert "train_32x32.tar is not the official file" in said
    assert "of these the set imagenet_resized_32x32 is made" in said
    make_official(monkeypatch, name, manual, 3, 2)
    prepare.prepare([name], str(tmp_path))
    found = {one["image"].tobytes() for one in read(name, tmp_path, "validation")}
    assert found == {image.tobytes() for image in images[3:]}


def write_imagenet(manual, parts, protocol=2):
    """Batches of three images, numbered past 9, so that their names do not sort by themselves."""
    for split, (images, labels) in parts.items():
        with zipfile.ZipFile(manual / f"Imagenet32_{split}.zip", "w") as archive:
            for start in range(0, len(images), 3):
                rows = np.moveaxis(images[start : start + 3], -1, 1).reshape(-1, 3072)
                batch = {
                    "data": rows,
                    "labels": [int(one) + 1 for one in labels[start : start + 3]],
                }
                batch["mean"] = rows.mean(0) if split == "train" else None
                name = f"train_data_batch_{start // 3 + 8}" if split == "train" else "val_data"
                archive.writestr(name, pickle.dumps(batch, protocol))


def imagenet_parts():
    parts = tiny.arrays((32, 32, 3), 10, 3)
    return {"train": parts["train"], "val": parts["test"]}


@pytest.mark.parametrize("protocol", [2, 4])
def test_batches_of_imagenet(monkeypatch, tmp_path, manual, protocol):
    parts = imagenet_parts()
    write_imagenet(manual, parts, protocol)
    make_official(monkeypatch, "imagenet_resized_32x32", manual, 10, 3)
    prepare.prepare(["imagenet_resized_32x32"], str(tmp_path))
    for split, (images, labels) in parts.items():
        found = read(
            "imagenet_resized_32x32", tmp_path, "train" if split == "train" else "validation"
        )
        pairs = {(one["image"].tobytes(), int(one["label"])) for one in found}
        assert pairs == {(i.tobytes(), int(label)) for i, label in zip(images, labels, strict=True)}


def test_batches_that_are_cut_or_too_few_are_named(monkeypatch, tmp_path, manual):
    write_imagenet(manual, imagenet_parts())
    make_official(monkeypatch, "imagenet_resized_32x32", manual, 11, 3)
    said = failure("imagenet_resized_32x32", tmp_path)
    assert "10 images in split train instead of 11" in said
    path = manual / "Imagenet32_val.zip"
    path.write_bytes(path.read_bytes()[:-100])
    said = failure("imagenet_resized_32x32", tmp_path)
    assert "Imagenet32_val.zip is damaged, or of another kind (BadZipFile" in said


def _never(_):
    pytest.fail("called")


class _Attack:
    def __reduce__(self):
        return _never, ("",)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (
            {"data": _Attack(), "labels": [1]},
            "it asks for tests.data.test_by_hand._never, which no",
        ),
        ({"labels": [1]}, "KeyError('data')"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}, "cannot reshape"),
        ({"data": np.zeros((1, 3072), np.float32), "labels": [1]}, "images of float32 [1, 32, 32"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "and 1 labels"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [0]}, "labels other than 1 to 1,000"),
    ],
)
def test_batches_of_another_kind_are_named_and_nothing_is_called(batch, said, tmp_path):
    path = tmp_path / "Imagenet32_val.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("val_data", pickle.dumps(batch))
    with pytest.raises(by_hand.ArchiveError) as raised:
        list(by_hand._batches(str(path), (32, 32, 3)))
    assert said in str(raised.value) and str(raised.value).startswith("Imagenet32_val.zip")


def test_an_archive_without_batches_is_named(tmp_path):
    path = tmp_path / "Imagenet32_train.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_data_batch_1.npz", b"x")
    with pytest.raises(by_hand.ArchiveError, match=r"Imagenet32_train.zip holds no batches"):
        list(by_hand._batches(str(path), (32, 32, 3)))


def test_every_archive_is_of_a_set_of_the_table():
    assert set(by_hand.BY_HAND) <= set(specs.SPECS)
