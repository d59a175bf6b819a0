"""What images that a Python program gives are called in a config, and where arrays are kept."""

import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfp_ood.api.images import ImageError, as_images
from tfp_ood.config import DataConfig
from tfp_ood.data import specs
from tfp_ood.workdir import WorkDir

Images = np.ndarray | str | os.PathLike[str] | Mapping[str, np.ndarray]
"""uint8 [N, H, W, C] or [N, H, W], or {NAME: such an array} for one that pages call by its name;
the path of a folder or .npy file as a `pathlib.Path`; or a name as in a config, such as
"fashion_mnist" or "folder:PATH"."""

_ONE = (np.ndarray, str, os.PathLike)
_BUFFER = 1 << 20


def sets(given: Any) -> list[Images]:
    """The sets to judge against, one or several; arrays that have names each with its own.

    Raises:
      ImageError: they are none.
    """
    if isinstance(given, _ONE):
        return [given]
    if isinstance(given, Mapping):
        return [{label: one} for label, one in given.items()]
    if not isinstance(given, Iterable):
        raise ImageError(
            f"out_of_distribution: got {given!r}; valid is a set, as images, or a list of such, "
            "which may be empty, or a dict of arrays by their names."
        )
    return [*given]


def native_shape(images: Images) -> tuple[int | None, ...]:
    """Height, width and channels of images, None where they differ."""
    _, images = _labelled(images)
    if isinstance(images, np.ndarray):
        return as_images(images).shape[1:]
    source = specs.parse(_set_name(images), "data.in_distribution")
    if isinstance(source, specs.DatasetSpec):
        return source.native_shape
    if isinstance(source, specs.ArraySource):
        return as_images(np.load(source.path, mmap_mode="r")).shape[1:]
    if isinstance(source, specs.FolderSource):
        return (None, None, None)
    return DataConfig().image_shape  # computed in any


def name(
    images: Images, place: WorkDir, known: Iterable[str]
) -> tuple[str, dict[pathlib.Path, np.ndarray]]:
    """The name of a set in a config, and the file that an array is to be kept in.

    An array is still called as when it was trained on or judged, by one of the names that are
    `known`: in a directory that was moved, or by another name of its own.
    """
    label, images = _labelled(images)
    if not isinstance(images, np.ndarray):
        return _set_name(images), {}
    found = np.ascontiguousarray(as_images(images))
    digest = hashlib.sha256(str(found.shape).encode())
    flat = found.reshape(-1)
    for start in range(0, flat.size, _BUFFER):
        digest.update(flat[start : start + _BUFFER])
    file = f"{digest.hexdigest()[:16]}.npy"
    called = next((one for one in known if specs.kept_array(one).endswith(file)), None)
    path = place.arrays / (specs.kept_array(called) if called else f"{label}-{file}".lstrip("-"))
    return called or f"array:{path}", {path: found}


def _labelled(images: Images) -> tuple[str, Any]:
    """What an array is to be called, "" where that is not said, and the images.

    Raises:
      ImageError: it is no name, or not that of one array.
    """
    if not isinstance(images, Mapping):
        return "", images
    if len(images) != 1:
        raise ImageError(f"images: got {len(images)} by their names; valid is one set.")
    ((label, one),) = images.items()
    if not re.fullmatch(specs.LABEL, str(label)) or not isinstance(one, np.ndarray):
        raise ImageError(
            f"images: got {{{label!r}: {type(one).__name__}}}; valid is a name of letters, digits "
            "and _, at most 40, for a NumPy array; other sets have names of their own."
        )
    return str(label), one


def _set_name(images: Any) -> str:
    """The name of a set that is no array in memory.

    Raises:
      UserError: it is none.
    """
    if isinstance(images, str):
        return images
    if not isinstance(images, os.PathLike):
        raise ImageError(
            f"images: got {type(images).__name__}; valid is a NumPy array, the pathlib.Path of a "
            'folder or .npy file, or a name as in a config, such as "fashion_mnist".'
        )
    path = os.fspath(images)
    kind = "array" if path.endswith(".npy") else "folder"
    return f"{kind}:{path}"
