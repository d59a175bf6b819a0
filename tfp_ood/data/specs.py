"""The table of data sets, and what a name in a config means.

A name is a row of `SPECS` (a TFDS data set), `folder:PATH`, `array:PATH.npy`, a row of
`SYNTHETIC`, or a change of the own test images, as `contrast:0.5`, `blurred:2` or `inverted`.
Nothing here imports TensorFlow or TFDS: a wrong name must be refused in a second.
"""

import contextlib
import contextvars
import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from tfp_ood.config import ConfigError
from tfp_ood.data.folders import IMAGE_SUFFIXES, list_files, shown, such_as
from tfp_ood.units import NUM_PIXEL_VALUES

Shape = tuple[int | None, int | None, int | None]
"""Height, width, channels of the images of a set; None where they differ between images."""


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One data set of TensorFlow Datasets, at a pinned official version."""

    name: str
    """As written in a config."""
    tfds_name: str
    """`name[/config]:version` as `tfds.builder` reads it."""
    native_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    licence: str
    train_split: str = "train"
    test_split: str = "test"
    image_key: str = "image"
    label_key: str | None = "label"
    """None for sets without one label per image; their label is then -1."""
    transposed: bool = False
    """TFDS stores the images with rows and columns swapped; the pipeline swaps them back."""

    @property
    def relative_dir(self) -> str:
        """Where TFDS keeps the set under its data directory: `name[/config]/version`."""
        return self.tfds_name.replace(":", "/")


_MNIST_SHAPE = (28, 28, 1)
_CIFAR_SHAPE = (32, 32, 3)
_IMAGENET = "ImageNet terms of access: non-commercial research and education"
_ROWS = (
    DatasetSpec("mnist", "mnist:3.0.1", _MNIST_SHAPE, 60_000, 10_000, "CC BY-SA 3.0"),
    DatasetSpec("fashion_mnist", "fashion_mnist:3.0.1", _MNIST_SHAPE, 60_000, 10_000, "MIT"),
    DatasetSpec("kmnist", "kmnist:3.0.1", _MNIST_SHAPE, 60_000, 10_000, "CC BY-SA 4.0"),
    DatasetSpec(
        "emnist_letters",
        "emnist/letters:3.1.0",
        _MNIST_SHAPE,
        88_800,
        14_800,
        "public domain (NIST)",
        transposed=True,
    ),
    DatasetSpec("omniglot", "omniglot:3.0.0", (105, 105, 3), 19_280, 13_180, "MIT"),
    DatasetSpec("cifar10", "cifar10:3.0.2", _CIFAR_SHAPE, 50_000, 10_000, "none stated"),
    DatasetSpec("cifar100", "cifar100:3.0.2", _CIFAR_SHAPE, 50_000, 10_000, "none stated"),
    DatasetSpec(
        "svhn_cropped", "svhn_cropped:3.1.0", _CIFAR_SHAPE, 73_257, 26_032, "non-commercial use"
    ),
    DatasetSpec(
        "celeb_a",
        "celeb_a:2.1.0",
        (218, 178, 3),
        162_770,
        19_962,
        "non-commercial research",
        label_key=None,
    ),
    *(
        DatasetSpec(
            f"downsampled_imagenet_{size}x{size}",
            f"downsampled_imagenet/{size}x{size}:2.0.0",
            (size, size, 3),
            1_281_149,
            49_999,
            _IMAGENET,
            test_split="validation",
            label_key=None,
        )
        for size in (32, 64)
    ),
    DatasetSpec(
        "imagenet_resized_32x32",
        "imagenet_resized/32x32:0.1.0",
        _CIFAR_SHAPE,
        1_281_167,
        50_000,
        _IMAGENET,
        test_split="validation",
    ),
)
SPECS = {spec.name: spec for spec in _ROWS}
"""Name in a config -> data set."""


@dataclasses.dataclass(frozen=True)
class SyntheticSpec:
    """Images that are computed, in whatever shape the model has."""

    name: str
    num_images: int


SYNTHETIC = {
    "noise": SyntheticSpec("noise", 10_000),
    "constant": SyntheticSpec("constant", NUM_PIXEL_VALUES),
}
"""`noise`: every value uniform and independent; `constant`: one image per gray level."""


REDUCTIONS = ("contrast", "dimmed")
"""The in-distribution test images with less variance. `contrast:F` moves every value towards the
mean of its image, `dimmed:F` towards black; F is the share of the distance that is left."""


CORRUPTIONS = {
    "blurred": (0.1, 16.0, "the standard deviation in pixels"),
    "noisy": (1.0, 255.0, "the standard deviation in pixel values"),
    "jpeg": (1.0, 100.0, "the quality"),
}
"""The in-distribution test images, damaged: `blurred:S` by a Gaussian, `noisy:S` by Gaussian noise,
`jpeg:Q` by compression. Name -> lowest, highest and meaning of the number."""

FLIPS = ("inverted", "upside_down")
"""The in-distribution test images as negatives, or turned by 180 degrees."""


@dataclasses.dataclass(frozen=True)
class ChangedSource:
    """The in-distribution test images, changed on purpose."""

    name: str
    kind: str
    """One of `REDUCTIONS`, a key of `CORRUPTIONS` or one of `FLIPS`."""
    strength: float
    """The factor of a reduction; as `CORRUPTIONS` says; 0 for `FLIPS`."""


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """A person's own image files."""

    name: str
    path: str


@dataclasses.dataclass(frozen=True)
class ArraySource:
    """A person's own uint8 array, [N, H, W, C] or [N, H, W], in a .npy file."""

    name: str
    path: str


_MAX_CHANNELS = 4  # no image is as narrow as this: it is the last axis of one with channels

Source = DatasetSpec | SyntheticSpec | ChangedSource | FolderSource | ArraySource


LABEL = "[A-Za-z0-9_]{1,40}"
"""What an array that a run keeps may be called, as a regular expression."""

_KEPT = re.compile(rf"(?s)array:.*/arrays/(?P<file>(?:(?P<label>{LABEL})-)?[0-9a-f]{{16}}\.npy)")
_kept_in: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar(
    "arrays", default=None
)


def kept_array(name: str) -> str:
    """The name of the file of an array that a run keeps, the same for the same images wherever the
    run is; "" for the name of any other set."""
    found = _KEPT.fullmatch(name)
    return found["file"] if found else ""


def kept_label(name: str) -> str:
    """What an array that a run keeps is called; "" for others."""
    found = _KEPT.fullmatch(name)
    return (found["label"] or "") if found else ""


@contextlib.contextmanager
def arrays_kept_in(folder: pathlib.Path) -> Iterator[None]:
    """Within this context, kept arrays that are not where their names say are taken from here: a
    run's directory may have been moved, or copied to another machine."""
    token = _kept_in.set(folder)
    try:
        yield
    finally:
        _kept_in.reset(token)


def parse(name: str, key: str) -> Source:
    """What `name`, given as the value of `config.<key>`, stands for.

    Raises:
      ConfigError: the name is unknown, or its folder or array is not there or of the wrong kind.
    """
    kind, colon, path = name.partition(":")
    if colon and kind == "folder":
        return _folder(name, os.path.expanduser(path), key)
    if colon and kind == "array":
        return _array(name, os.path.expanduser(path), key)
    if name in FLIPS or (colon and kind in (*REDUCTIONS, *CORRUPTIONS)):
        return _changed(name, key)
    source = SPECS.get(name) or SYNTHETIC.get(name)
    if source is None:
        raise ConfigError(key, name, _valid_names(name, key))
    return source


def out_split(source: Source) -> str:
    """The split, as tables name it, of a set that is judged against: `test`, or `all`."""
    return "test" if isinstance(source, DatasetSpec | ChangedSource) else "all"


def _changed(name: str, key: str) -> ChangedSource:
    kind, _, text = name.partition(":")
    if key == "data.in_distribution":
        raise ConfigError(
            key, name, "a set of its own; this one is made of the in-distribution set"
        )
    if kind in FLIPS:
        return ChangedSource(name, kind, 0.0)
    if kind in REDUCTIONS:
        low, high = 0.0, 1.0
        valid = f"a number from 0 to 1 after `{kind}:`, such as {kind}:0.5"
    else:
        low, high, meaning = CORRUPTIONS[kind]
        valid = f"{meaning}, from {low:g} to {high:g}, after `{kind}:`"
    try:
        strength = float(text)
    except ValueError:
        strength = -1.0
    if not low <= strength <= high:
        raise ConfigError(key, name, valid)
    return ChangedSource(name, kind, strength)


def _folder(name: str, path: str, key: str) -> FolderSource:
    if not os.path.isdir(path):
        raise ConfigError(key, name, "the path of an existing folder after `folder:`")
    try:
        files, others = list_files(path)
    except OSError as error:
        raise ConfigError(key, name, f"a folder that can be read ({error})") from error
    if not files:
        held = f", but other files ({len(others):,}), {such_as(path, others)}" if others else ""
        valid = f"a folder with images ({', '.join(IMAGE_SUFFIXES)}); this one holds none{held}"
        raise ConfigError(key, name, valid)
    if len({"/" in file for file in files}) > 1:
        flat = shown(next(file for file in files if "/" not in file))
        valid = (
            "a folder with all images directly in it, or all in one sub-folder per class; "
            f"this one has both ({flat} is not in a sub-folder: move such files into one)"
        )
        raise ConfigError(key, name, valid)
    return FolderSource(name, os.path.abspath(path))


def _array(name: str, path: str, key: str) -> ArraySource:
    folder, file = _kept_in.get(), kept_array(name)
    if folder and file and not os.path.isfile(path):
        path = str(folder / file)
    if not os.path.isfile(path):
        raise ConfigError(key, name, "the path of an existing .npy file after `array:`")
    wanted = "a .npy file of uint8 [N, H, W, C] or [N, H, W] with N, H, W >= 1 and C = 1 or 3"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ConfigError(key, name, f"{wanted}; this one cannot be read ({error})") from error
    if not isinstance(array, np.ndarray):
        raise ConfigError(key, name, f"{wanted}; this is an archive of several arrays")
    if fault := array_fault(array):
        raise ConfigError(key, name, f"{wanted}; {fault}")
    return ArraySource(name, os.path.abspath(path))


def array_fault(array: np.ndarray) -> str:
    """What keeps an array from being a set of images, such as "this one is int64 [3]"; or ""."""
    right_rank = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in (1, 3))
    if array.dtype != np.uint8 or not right_rank or array.size == 0:
        return f"this one is {array.dtype} {list(array.shape)}"
    if array.ndim == 3 and array.shape[-1] <= _MAX_CHANNELS:
        return _ambiguity(array.shape)
    return ""


def _ambiguity(shape: tuple[int, ...]) -> str:
    """What an array may be that is [N, H, W] with hardly a width, and how to say which."""
    number, height, width = shape
    if width in (1, 3):
        kind = "colour" if width == 3 else "gray"
        one = f"one {kind} image, which is saved as {[1, *shape]}"
    else:
        one = f"one image with {width} channels, of which no set can be made"
    return (
        f"this one is {list(shape)}: {one}, or {number:,} gray images of {height}x{width}, which "
        f"are saved as {[*shape, 1]}"
    )


def _valid_names(given: str, key: str) -> str:
    names = [*SPECS, *SYNTHETIC]
    if key != "data.in_distribution":
        names += [*FLIPS, *(f"{kind}:FACTOR" for kind in REDUCTIONS)]
        names += [f"{kind}:NUMBER" for kind in CORRUPTIONS]
    names += ["folder:PATH", "array:PATH.npy"]
    close = difflib.get_close_matches(given, names, n=1)
    if os.path.exists(path := os.path.expanduser(given)):
        close = [f"folder:{given}" if os.path.isdir(path) else f"array:{given}"]
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"one of {', '.join(names)}{hint}"
