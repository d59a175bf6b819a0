import numpy as np
import pytest
from PIL import Image

from tfp_ood.config import ConfigError
from tfp_ood.data import folders, specs

KEY = "data.in_distribution"


def _save_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)


@pytest.mark.parametrize("name", specs.SPECS)
def test_the_table_agrees_with_the_official_builder(name, tmp_path):
    import tensorflow_datasets as tfds

    spec = specs.SPECS[name]
    builder = tfds.builder(spec.tfds_name, data_dir=str(tmp_path))
    assert builder.data_dir == str(tmp_path / spec.relative_dir)
    features = builder.info.features
    declared = features[spec.image_key].shape
    assert all(d in (None, s) for d, s in zip(declared, spec.native_shape, strict=True))
    assert spec.label_key is None or spec.label_key in features


@pytest.mark.parametrize("name", [*specs.SPECS, *specs.SYNTHETIC])
def test_every_row_is_found_by_its_name(name):
    assert specs.parse(name, KEY).name == name


def test_an_unknown_name_lists_the_valid_ones_with_the_closest():
    with pytest.raises(ConfigError, match="fashion_minst") as error:
        specs.parse("fashion_minst", KEY)
    text = str(error.value)
    assert text.startswith(f"config.{KEY}: ")
    assert "did you mean fashion_mnist?" in text
    for name in (*specs.SPECS, *specs.SYNTHETIC, "folder:PATH", "array:PATH.npy"):
        assert name in text


def test_a_bare_path_is_told_what_goes_before_it(tmp_path):
    (tmp_path / "a.npy").touch()
    for path, kind in ((tmp_path, "folder"), (tmp_path / "a.npy", "array")):
        with pytest.raises(ConfigError, match=rf"did you mean {kind}:{path}\?"):
            specs.parse(str(path), KEY)


def test_no_name_is_called_valid_that_is_refused():
    made = ("inverted", "upside_down", "contrast:FACTOR", "blurred:NUMBER")
    for key, are_valid in (("data.out_of_distribution", True), ("data.in_distribution", False)):
        with pytest.raises(ConfigError) as error:
            specs.parse("anything", key)
        assert all((name in str(error.value)) == are_valid for name in made)


def test_a_folder_flat_or_with_classes(tmp_path):
    _save_image(tmp_path / "flat" / "b.png")
    _save_image(tmp_path / "flat" / "a.JPG")
    (tmp_path / "flat" / "notes.txt").write_text("no image")
    _save_image(tmp_path / "flat" / ".hidden.png")
    source = specs.parse(f"folder:{tmp_path / 'flat'}", KEY)
    assert folders.image_files(source.path) == ["a.JPG", "b.png"]
    _save_image(tmp_path / "classes" / "x" / "deep" / "a.png")
    _save_image(tmp_path / "classes" / "y" / "b.png")
    source = specs.parse(f"folder:{tmp_path / 'classes'}", KEY)
    assert folders.image_files(source.path) == ["x/deep/a.png", "y/b.png"]


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="existing folder"):
        specs.parse(f"folder:{tmp_path / 'missing'}", KEY)
    with pytest.raises(ConfigError, match="holds none"):
        specs.parse(f"folder:{tmp_path}", KEY)
    _save_image(tmp_path / "a.png")
    _save_image(tmp_path / "class" / "b.png")
    with pytest.raises(ConfigError, match=r"both \(a\.png is not in a sub-folder"):
        specs.parse(f"folder:{tmp_path}", KEY)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 5, 1), (2, 4, 5, 3)])
def test_an_array_of_images(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert specs.parse(f"array:{tmp_path / 'a.npy'}", KEY).path == str(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 5), np.float32), "float32"),
        (np.zeros((4, 5), np.uint8), r"uint8 \[4, 5\]"),
        (np.zeros((2, 4, 5, 2), np.uint8), r"\[2, 4, 5, 2\]"),
        (np.zeros((0, 4, 5), np.uint8), r"\[0, 4, 5\]"),
        (np.array([{}], dtype=object), "cannot be read"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ConfigError, match=words):
        specs.parse(f"array:{tmp_path / 'a.npy'}", KEY)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            (28, 28, 3),
            r"\[28, 28, 3\]: one colour image, which is saved as \[1, 28, 28, 3\], or 28 gray "
            r"images of 28x3, which are saved as \[28, 28, 3, 1\]",
        ),
        ((60, 28, 1), r"one gray image, which is saved as \[1, 60, 28, 1\], or 60 gray images of"),
        ((28, 28, 4), r"one image with 4 channels, of which no set can be made, or 28 gray images"),
        ((28, 28, 2), r"one image with 2 channels"),
    ],
)
def test_one_image_is_not_taken_for_narrow_ones(tmp_path, shape, words):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(ConfigError, match=words):
        specs.parse(f"array:{tmp_path / 'a.npy'}", KEY)
    for told in ([1, *shape], [*shape, 1]):
        if told[-1] in (1, 3):
            np.save(tmp_path / "b.npy", np.zeros(told, np.uint8))
            specs.parse(f"array:{tmp_path / 'b.npy'}", KEY)


def test_missing_and_broken_array_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="existing"):
        specs.parse(f"array:{tmp_path / 'a.npy'}", KEY)
    (tmp_path / "a.npy").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot be read"):
        specs.parse(f"array:{tmp_path / 'a.npy'}", KEY)
    np.savez(tmp_path / "b.npz", np.zeros((2, 4, 5), np.uint8))
    with pytest.raises(ConfigError, match="several arrays"):
        specs.parse(f"array:{tmp_path / 'b.npz'}", KEY)


def test_linked_folders_are_followed_once(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "set" / "a" / "1.png", tmp_path / "other" / "2.png"):
        path.touch()
    (tmp_path / "set" / "a" / "up").symlink_to("..")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "other")
    assert folders.image_files(str(tmp_path / "set")) == ["a/1.png", "b/2.png"]


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "1.png").touch()

    def walk(path, onerror, **_):
        onerror(PermissionError(13, "Permission denied", path))

    monkeypatch.setattr(specs.os, "walk", walk)  # tests may run as root, who reads all
    with pytest.raises(ConfigError, match=r"a folder that can be read .*Permission denied"):
        specs.parse(f"folder:{tmp_path}", "data.in_distribution")
