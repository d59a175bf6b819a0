"""A person's own images: a folder of image files of common formats."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from tfp_ood.data.specs import Shape, image_files
from tfp_ood.errors import DataError

NO_LABEL = -1
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_MAX_PIXELS = 100_000_000  # 300 MB when decoded, in each of a few threads
# Of sizes that `_decode` judges by itself. Not around each call: threads share the filters.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


@dataclasses.dataclass(frozen=True)
class Folder:
    """The readable images of a folder, all decoded once; in the order of their paths."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    """Index of the image's first-level sub-folder among the sorted ones; -1 in a flat folder."""
    native_shape: Shape
    largest: tuple[int, int]
    """The largest height and the largest width."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Path below the folder and reason of each file that cannot be read."""


def open_folder(path: str, unreadable: str = "error") -> Folder:
    """Decodes every image of a folder once, so that a broken one is known before any work.

    Opening a folder whose files have not changed again in the same process is quick.

    Args:
      path: of the folder.
      unreadable: "error" to refuse a folder with a file that cannot be read, "skip" to leave such
        files out.

    Raises:
      DataError: a file cannot be decoded, which is named; or none can.
    """
    names = image_files(path)
    stamps = tuple(_stamp(os.path.join(path, name)) for name in names)
    folder = _open_folder(path, tuple(names), stamps)
    if folder.skipped and (unreadable == "error" or not folder.paths):
        name, reason = folder.skipped[0]
        more = f" and {len(folder.skipped) - 1:,} other files" if len(folder.skipped) > 1 else ""
        hint = "leave such files out with --config.data.unreadable=skip"
        mend = hint if folder.paths else "none of the folder's files can be read"
        raise DataError(f"{os.path.join(path, name)}{more}: cannot be read ({reason}); {mend}.")
    return folder


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file; (-1, -1) where there is none, as behind a broken link."""
    try:
        stat = os.stat(path)
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=8)
def _open_folder(path: str, names: tuple[str, ...], stamps: tuple[tuple[int, int], ...]) -> Folder:
    del stamps  # part of the cache's key: a changed file is decoded again
    paths = tuple(os.path.join(path, name) for name in names)
    looks = _in_threads(_look, paths, f"checking {path}", "image")
    found = dict(zip(names, looks, strict=True))
    shapes = {name: shape for name, shape in found.items() if not isinstance(shape, str)}
    skipped = tuple((name, reason) for name, reason in found.items() if isinstance(reason, str))
    if not shapes:
        return Folder((), (), (None, None, None), (0, 0), skipped)
    sizes = [set(axis) for axis in zip(*shapes.values(), strict=True)]
    native_shape = tuple(max(axis) if len(axis) == 1 else None for axis in sizes)
    largest = (max(sizes[0]), max(sizes[1]))
    kept = tuple(os.path.join(path, name) for name in shapes)
    return Folder(kept, _labels(tuple(shapes)), native_shape, largest, skipped)


def version(paths: Sequence[str], root: str) -> str:
    """A short text that changes with the content and the names of files, wherever they lie.

    Asking again in the same process, of files that have not changed, is quick.

    Args:
      paths: the files.
      root: a folder above them; their names below it count.
    """
    return _version(tuple(paths), root, tuple(map(_stamp, paths)))


@functools.lru_cache(maxsize=8)
def _version(paths: tuple[str, ...], root: str, stamps: tuple[tuple[int, int], ...]) -> str:
    del stamps  # part of the cache's key: a changed file is read again
    whole = hashlib.sha256()
    digests = _in_threads(_digest, paths, f"reading {root}", "file")
    for path, digest in zip(paths, digests, strict=True):
        whole.update(f"{os.path.relpath(path, root)}\0{digest}\0".encode())
    return whole.hexdigest()[:16]


def _in_threads(
    function: Callable[[str], Any], paths: Sequence[str], doing: str, unit: str
) -> Iterator[Any]:
    """What a function tells of each file, in their order, with a progress bar."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from tqdm(pool.map(function, paths), doing, total=len(paths), unit=unit, delay=1)


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


def _look(path: str) -> tuple[int, ...] | str:
    """The shape of an image, or why it cannot be read."""
    try:
        return _decode(path).shape
    except _UNREADABLE as error:
        return f"{str(error).replace(path, os.path.basename(path)) or type(error).__name__}"


def decode(path: str) -> np.ndarray:
    """Reads an image file as uint8 [h, w, 1] (gray) or [h, w, 3] (anything else).

    Turned as its EXIF orientation says; transparent images are laid on black; 16-bit gray is
    scaled to 8 bits; palettes and CMYK become RGB; of several frames or pages the first is taken.

    Raises:
      DataError: the file cannot be read as an image, is truncated, has more than 100 million
        pixels, or values that are not whole numbers.
    """
    try:
        return _decode(path)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as an image ({error}).") from error


def decode_content(content: bytes) -> np.ndarray:
    """The same for the content of a file that has no path on this machine.

    Raises:
      DataError: as `decode`; the message does not name the file.
    """
    try:
        return _decode(io.BytesIO(content))
    except UnidentifiedImageError as error:  # whose message has nothing but the object's address
        raise DataError(f"it is no image of {', '.join(_FORMATS)}") from error
    except _UNREADABLE as error:
        raise DataError(str(error) or type(error).__name__) from error


_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are damaged, or made to do damage."""


def _decode(file: str | io.BytesIO) -> np.ndarray:
    with Image.open(file, formats=_FORMATS) as image:
        # The header tells the size before anything is decoded.
        if image.width * image.height > _MAX_PIXELS:
            size = f"{image.width:,} x {image.height:,}"
            raise ValueError(f"{size} pixels, more than {_MAX_PIXELS:,} in all")
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers, of which white is not known")
        return _to_uint8(ImageOps.exif_transpose(image))


def _to_uint8(image: Image.Image) -> np.ndarray:
    if image.mode in _SIXTEEN_BIT_MODES:
        # 65535 / 255 = 257 exactly: white stays white.
        values = np.asarray(image).astype(np.int64)
        return ((values + 128) // 257).astype(np.uint8)[..., np.newaxis]
    is_gray = image.mode in ("1", "L", "LA")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, layer)
    # Gray that went through RGBA has three equal channels, of which the luma is the same value.
    pixels = np.asarray(image.convert("L" if is_gray else "RGB"))
    return pixels[..., np.newaxis] if is_gray else pixels
