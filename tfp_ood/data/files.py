"""A person's own images: a folder of PNG and JPEG files."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from tfp_ood.data.specs import Shape, image_files
from tfp_ood.errors import DataError

NO_LABEL = -1
_FORMATS = ("PNG", "JPEG")
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


@dataclasses.dataclass(frozen=True)
class Folder:
    """The images of a folder, all of which were decoded once; in the order of their paths."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    """Index of the image's first-level sub-folder among the sorted ones; -1 in a flat folder."""
    native_shape: Shape
    largest: tuple[int, int]
    """The largest height and the largest width."""


def open_folder(path: str) -> Folder:
    """Decodes every image of a folder once, so that a broken one is known before any work.

    Opening a folder whose files have not changed again in the same process is quick.

    Raises:
      DataError: a file cannot be decoded; it is named.
    """
    names = image_files(path)
    stats = [os.stat(os.path.join(path, name)) for name in names]
    stamps = tuple((s.st_size, s.st_mtime_ns) for s in stats)
    return _open_folder(path, tuple(names), stamps)


@functools.lru_cache(maxsize=8)
def _open_folder(path: str, names: tuple[str, ...], stamps: tuple[tuple[int, int], ...]) -> Folder:
    del stamps  # part of the cache's key: a changed file is decoded again
    paths = tuple(os.path.join(path, name) for name in names)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        shapes = pool.map(_decoded_shape, paths)
        progress = tqdm(shapes, f"checking {path}", total=len(paths), unit="image", delay=1)
        unique = np.unique(np.array(list(progress)), axis=0)
    native_shape = tuple(
        int(values[0]) if (values == values[0]).all() else None for values in unique.T
    )
    largest = tuple(int(size) for size in unique.max(axis=0)[:2])
    return Folder(paths, _labels(names), native_shape, largest)


def version(paths: Sequence[str], root: str) -> str:
    """A short text that changes with the content and the names of files, wherever they lie.

    Asking again in the same process, of files that have not changed, is quick.

    Args:
      paths: the files.
      root: a folder above them; their names below it count.
    """
    stats = [os.stat(path) for path in paths]
    return _version(tuple(paths), root, tuple((s.st_size, s.st_mtime_ns) for s in stats))


@functools.lru_cache(maxsize=8)
def _version(paths: tuple[str, ...], root: str, stamps: tuple[tuple[int, int], ...]) -> str:
    del stamps  # part of the cache's key: a changed file is read again
    whole = hashlib.sha256()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(_digest, paths)
        progress = tqdm(digests, f"reading {root}", total=len(paths), unit="file", delay=1)
        for path, digest in zip(paths, progress, strict=True):
            whole.update(f"{os.path.relpath(path, root)}\0{digest}\0".encode())
    return whole.hexdigest()[:16]


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _labels(names: tuple[str, ...]) -> tuple[int, ...]:
    if "/" not in names[0]:
        return (NO_LABEL,) * len(names)
    classes = [name.split("/")[0] for name in names]
    index = {name: i for i, name in enumerate(sorted(set(classes)))}
    return tuple(index[name] for name in classes)


def _decoded_shape(path: str) -> tuple[int, ...]:
    return decode(path).shape


def decode(path: str) -> np.ndarray:
    """Reads a PNG or JPEG file as uint8 [h, w, 1] (gray) or [h, w, 3] (anything else).

    Turned as its EXIF orientation says; transparent images are laid on black; 16-bit gray is
    scaled to 8 bits; palettes and CMYK become RGB.

    Raises:
      DataError: the file cannot be read as an image.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return _to_uint8(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a PNG or JPEG image ({error}).") from error


def _to_uint8(image: Image.Image) -> np.ndarray:
    if image.mode in _SIXTEEN_BIT_MODES:
        # 65535 / 255 = 257 exactly: white stays white.
        values = np.asarray(image).astype(np.int64)
        return ((values + 128) // 257).astype(np.uint8)[..., np.newaxis]
    if "A" in image.getbands() or "transparency" in image.info:
        return _on_black(image)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., np.newaxis]
    return np.asarray(image.convert("RGB"))


def _on_black(image: Image.Image) -> np.ndarray:
    is_gray = image.mode in ("1", "L", "LA")
    layer = image.convert("RGBA")
    black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    flat = Image.alpha_composite(black, layer)
    if is_gray:
        # All three channels are equal, so that any of them is the gray value.
        return np.asarray(flat)[..., :1]
    return np.asarray(flat.convert("RGB"))
