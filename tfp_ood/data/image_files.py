"""A person's own images: a folder of image files."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from tfp_ood import devices
from tfp_ood.data import decoding, duplicates, folders, manifest
from tfp_ood.data.decoding import decode as decode
from tfp_ood.data.decoding import decode_content as decode_content
from tfp_ood.data.folders import shown
from tfp_ood.data.specs import ArraySource, FolderSource, Shape, parse
from tfp_ood.errors import DataError

NO_LABEL = -1
_COMPARED = 1000  # images of an array at a time
_OF_NOTHING = hashlib.sha256().hexdigest()


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
    record: dict[str, Any] = dataclasses.field(default_factory=dict)
    """For people and JSON: the files above, those that were not looked at, what 16-bit images
    hold, and copies (`folders.remarks`)."""
    prints: tuple[duplicates.Print, ...] = ()
    """Of each image."""
    version: str = ""
    """As `version` of its images."""
    looks: manifest.Looks = dataclasses.field(default_factory=dict, repr=False)
    """For the folder's manifest."""


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
    names, others = folders.list_files(path)
    stamps = tuple(_stamp(os.path.join(path, name)) for name in (*names, *others))
    folder = _open_folder(path, tuple(names), tuple(others), stamps)
    manifest.write(path, folder.looks)
    if folder.skipped and (unreadable == "error" or not folder.paths):
        name, reason = folder.skipped[0]
        others = len(folder.skipped) - 1
        more = f" and {others:,} other file{'s' if others > 1 else ''}" if others else ""
        hint = "leave such files out with --config.data.unreadable=skip"
        mend = hint if folder.paths else "none of the folder's files can be read"
        where = shown(os.path.join(path, name))
        raise DataError(f"{where}{more}: cannot be read ({reason}); {mend}.")
    if not folder.paths:
        raise DataError(f"{shown(path)}: none of the folder's files is a regular file.")
    return folder


def remarks(names: Sequence[str], unreadable: str) -> list[str]:
    """What to know of the folders and arrays among sets before work with them: a line each.

    Args:
      names: of sets, as in a config, the own one first.
      unreadable: as `open_folder`.

    Raises:
      ConfigError, DataError: as `specs.parse` and `open_folder`.
    """
    lines, own = [], contents(names[0], unreadable)
    for name in dict.fromkeys(names):
        source = parse(name, "data")
        if isinstance(source, FolderSource):
            record = open_folder(source.path, unreadable).record
        elif isinstance(source, ArraySource):
            record = array_record(source.path)
        else:
            continue
        if name != names[0]:
            record = {**record, **record_of_shared(own, name, unreadable)}
        lines += folders.remarks(shown(source.name), record)
    return lines


def contents(name: str, unreadable: str) -> frozenset[bytes]:
    """`Print.content` of the images of a folder or an array; of other sets none.

    Args:
      name: of the set, as in a config.
      unreadable: as `open_folder`.

    Raises:
      ConfigError, DataError: as `specs.parse` and `open_folder`.
    """
    return frozenset(one.content for one in _prints(name, unreadable))


def record_of_shared(own: frozenset[bytes], name: str, unreadable: str) -> dict[str, Any]:
    """What a foreign set's record says of images that the own set holds too; {} where there are
    none, or one of the two is no folder or array.

    Args:
      own: `contents` of the in-distribution set.
      name: of the foreign set.
      unreadable: as `open_folder`.

    Returns:
      `shared` -> num_images of the set, and num_own, those whose pixels are an own image's.

    Raises:
      ConfigError, DataError: as `specs.parse` and `open_folder`.
    """
    theirs = _prints(name, unreadable) if own else ()
    num_own = sum(one.content in own for one in theirs)
    about = {"num_images": len(theirs), "num_own": num_own}
    return {duplicates.SHARED: about} if num_own else {}


def _prints(name: str, unreadable: str) -> Sequence[duplicates.Print]:
    """Of the images of a folder or an array; of other sets none."""
    source = parse(name, "data")
    if isinstance(source, FolderSource):
        return open_folder(source.path, unreadable).prints
    return array_prints(source.path) if isinstance(source, ArraySource) else ()


def _stamp(path: str) -> manifest.Stamp:
    """Size, time and mode of a file; (-1, -1, -1) where there is none, as behind a broken link."""
    try:
        stat = os.stat(path)
    except OSError:
        return -1, -1, -1
    return stat.st_size, stat.st_mtime_ns, stat.st_mode


@functools.lru_cache(maxsize=8)
def _open_folder(
    path: str,
    names: tuple[str, ...],
    others: tuple[str, ...],
    stamps: tuple[manifest.Stamp, ...],
) -> Folder:
    """The stamps are part of the cache's key too: a changed file is decoded again."""
    stamp_of = dict(zip((*names, *others), stamps, strict=True))
    kinds = {
        # What is not there cannot be read, which is what an image file is to say.
        name: "" if mode == -1 else folders.kind_of_mode(mode)
        for name, (*_, mode) in stamp_of.items()
    }
    looks = _looks(path, {name: stamp_of[name] for name in names if not kinds[name]})
    found = {name: looks[name][1] for name in names if name in looks}
    seen = {name: look for name, look in found.items() if not look.reason}
    skipped = tuple((shown(name), look.reason) for name, look in found.items() if look.reason)
    record = {
        **({"skipped": [list(entry) for entry in skipped]} if skipped else {}),
        **folders.record_of_others(_not_looked_at(path, kinds, others)),
        **folders.record_of_sixteen_bit([look.deep for look in seen.values() if look.deep]),
    }
    prints = tuple(look.print for look in seen.values())
    record |= duplicates.record(prints)
    if not seen:
        return Folder((), (), (None, None, None), (0, 0), skipped, record, looks=looks)
    sizes = [set(axis) for axis in zip(*(look.shape for look in seen.values()), strict=True)]
    native_shape = tuple(max(axis) if len(axis) == 1 else None for axis in sizes)
    largest = (max(sizes[0]), max(sizes[1]))
    kept = tuple(os.path.join(path, name) for name in seen)
    labels, digests = _labels(tuple(seen)), [look.digest for look in seen.values()]
    of_content = _version_of(list(seen), digests)
    return Folder(kept, labels, native_shape, largest, skipped, record, prints, of_content, looks)


def _looks(path: str, stamps: dict[str, manifest.Stamp]) -> manifest.Looks:
    """What the files of a folder are like: those that are not as in its manifest are looked at."""
    known = manifest.read(path)
    new = [name for name, stamp in stamps.items() if known.get(name, (None,))[0] != stamp]
    if not new and known.keys() == stamps.keys():
        return known
    looks = _in_threads(_look, [os.path.join(path, name) for name in new], "checking", path)
    found = dict(zip(new, looks, strict=True))
    return {n: (stamp, found[n]) if n in found else known[n] for n, stamp in stamps.items()}


def _not_looked_at(
    path: str, kinds: dict[str, str], others: tuple[str, ...]
) -> list[tuple[str, str, bool]]:
    """See `folders.record_of_others`.

    Args:
      path: of the folder.
      kinds: name of every file -> what it is if it is no regular file, else "".
      others: names of the files that are no images by their names.
    """
    regular = [name for name in others if not kinds[name]]
    paths = [os.path.join(path, name) for name in regular]
    images = dict(
        zip(regular, _in_threads(folders.image_kind, paths, "listing", path), strict=True)
    )
    return [
        (shown(name), kind or images[name], bool(images.get(name)))
        for name, kind in kinds.items()
        if kind or name in images
    ]


def version(paths: Sequence[str], root: str) -> str:
    """A short text that changes with the content and the names of files, wherever they lie.

    Asking again in the same process, of files that have not changed, is quick.

    Args:
      paths: the files.
      root: a folder above them; their names below it count.
    """
    return _version(tuple(paths), root, tuple(map(_stamp, paths)))


@functools.lru_cache(maxsize=8)
def _version(paths: tuple[str, ...], root: str, stamps: tuple[Any, ...]) -> str:
    del stamps  # part of the cache's key: a changed file is read again
    names = [os.path.relpath(path, root) for path in paths]
    return _version_of(names, _in_threads(_digest, paths, "reading", root))


def _version_of(names: Sequence[str], digests: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        whole.update(f"{name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:16]


def _in_threads(
    function: Callable[[str], Any], paths: Sequence[str], doing: str, folder: str
) -> Iterator[Any]:
    """What a function tells of each file, in their order, with a progress bar."""
    words = f"{doing} {shown(folder)}"
    with concurrent.futures.ThreadPoolExecutor(devices.num_cores()) as pool:
        yield from tqdm(pool.map(function, paths), words, total=len(paths), unit=" files", delay=1)


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


def _look(path: str) -> manifest.Look:
    """What an image is like, or why it cannot be read; without a digest where that may pass."""
    try:
        digest = _digest(path)
    except OSError as error:
        return manifest.Look("", error.strerror or str(error))
    try:
        decoded = decoding.decode_any(path)
    except decoding.UnreadableError as error:
        is_of_file = not _is_of_machine(error.__cause__)
        reason = str(error) if digest != _OF_NOTHING else "it is empty"
        return manifest.Look(digest if is_of_file else "", reason)
    (known,) = duplicates.prints_of(decoded.pixels[np.newaxis])
    return manifest.Look(digest, "", decoded.pixels.shape, decoded.deep, known)


def _is_of_machine(error: BaseException | None) -> bool:
    """Whether it is the machine that failed, and not what a file holds: another time may do."""
    return isinstance(error, MemoryError) or bool(isinstance(error, OSError) and error.errno)


def array_prints(path: str) -> tuple[duplicates.Print, ...]:
    """The prints of the images of a .npy file, uint8 `[N, H, W, C]` or `[N, H, W]`.

    Asking again in the same process, of a file that has not changed, is quick.
    """
    return _array_prints(path, _stamp(path))


@functools.lru_cache(maxsize=8)
def _array_prints(path: str, stamp: tuple[int, ...]) -> tuple[duplicates.Print, ...]:
    del stamp  # part of the cache's key
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    array = array[..., np.newaxis] if array.ndim == 3 else array
    parts = [array[start : start + _COMPARED] for start in range(0, len(array), _COMPARED)]
    words = f"comparing {shown(path)}"
    with concurrent.futures.ThreadPoolExecutor(devices.num_cores()) as pool:
        found = pool.map(duplicates.prints_of, parts)
        told = tqdm(found, words, total=len(parts), unit=f" x {_COMPARED:,} images", delay=1)
        return tuple(itertools.chain.from_iterable(told))


def array_record(path: str) -> dict[str, Any]:
    """What a set's record says of the copies in a .npy file; as quick as `array_prints`."""
    return _array_record(path, _stamp(path))


@functools.lru_cache(maxsize=8)
def _array_record(path: str, stamp: tuple[int, ...]) -> dict[str, Any]:
    return duplicates.record(_array_prints(path, stamp))
