"""What was found in the files of folders, kept from one start of a program to the next.

A folder of a million images would be decoded and hashed at every start. A file whose size, time and
mode are those of the manifest is taken for the one that was looked at then; outside of `kept_in`
there is no manifest, and every file is looked at.
"""

import contextlib
import contextvars
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from tfp_ood import atomic
from tfp_ood.data.duplicates import Print
from tfp_ood.workdir import slug

_FORMAT = "2"
_KEY = b"tfp_ood"

Stamp = tuple[int, int, int]
"""Size, time and mode of a file."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What there is to know of an image file without its pixels."""

    digest: str
    """SHA-256 of its content, in hexadecimal digits."""
    reason: str = ""
    """Why it cannot be read; of such a file the rest is empty."""
    shape: tuple[int, ...] = ()
    deep: tuple[int, int] | None = None
    """See `decoding.Decoded`."""
    print: Print | None = None


Looks = Mapping[str, tuple[Stamp, Look]]
"""By a file's name below its folder."""


@dataclasses.dataclass(frozen=True)
class _Place:
    folder: pathlib.Path
    may_write: Callable[[], bool]
    there: dict[str, Looks] = dataclasses.field(default_factory=dict)
    """Path of a folder -> what its manifest holds, as far as this process knows."""
    waiting: dict[str, Looks] = dataclasses.field(default_factory=dict)
    """Path of a folder -> what is not in its manifest because that may not be written yet."""


_place: contextvars.ContextVar[_Place | None] = contextvars.ContextVar("manifests", default=None)


@contextlib.contextmanager
def kept_in(folder: pathlib.Path, may_write: Callable[[], bool]) -> Iterator[None]:
    """Keeps manifests in a folder within this context.

    Args:
      folder: need not exist.
      may_write: asked before each; while it says no, manifests are only read (see
        `write_waiting`).
    """
    token = _place.set(_Place(folder, may_write))
    try:
        yield
    finally:
        _place.reset(token)


def read(path: str) -> Looks:
    """What is known of the files of the folder at a path: nothing where there is no manifest that
    can be read, or it is of another version of this program or of Pillow."""
    place = _place.get()
    if place is None:
        return {}
    try:
        with pq.ParquetFile(_file(place, path), page_checksum_verification=True) as file:
            table = file.read()
        if (table.schema.metadata or {}).get(_KEY) != _version():
            return {}
        return place.there.setdefault(path, dict(map(_from_row, table.to_pylist())))
    except (OSError, ValueError, KeyError, TypeError):  # it is made again
        return {}


def write(path: str, looks: Looks) -> None:
    """Keeps what is known of all files of the folder at a path, if manifests are kept and this one
    does not hold it yet. Files without a digest are left out: to be looked at again."""
    place = _place.get()
    if place is None or place.there.get(path) is looks:
        return
    if not place.may_write():
        place.waiting[path] = looks
        return
    place.waiting.pop(path, None)
    rows = [_to_row(name, stamp, look) for name, (stamp, look) in looks.items() if look.digest]
    schema = _SCHEMA.with_metadata({_KEY: _version()})
    file = _file(place, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(file) as temporary:
        table = pa.Table.from_pylist(rows, schema)
        pq.write_table(table, temporary, write_page_checksum=True)
    place.there[path] = looks


def write_waiting() -> None:
    """Keeps what could not be kept when it was found, if that may be written by now."""
    place = _place.get()
    for path, looks in list(place.waiting.items()) if place else ():
        write(path, looks)


_SCHEMA = pa.schema([
    ("name", pa.binary()),  # which need not be UTF-8
    ("stamp", pa.list_(pa.int64())),
    ("digest", pa.string()),
    ("reason", pa.string()),
    ("shape", pa.list_(pa.int64())),
    ("deep", pa.list_(pa.int64())),
    ("content", pa.binary()),
    ("appearance", pa.uint64()),
])  # fmt: skip


def _to_row(name: str, stamp: Stamp, look: Look) -> dict[str, Any]:
    return {
        "name": os.fsencode(name),
        "stamp": stamp,
        "digest": look.digest,
        "reason": look.reason,
        "shape": look.shape,
        "deep": look.deep,
        "content": look.print and look.print.content,
        "appearance": look.print and look.print.appearance,
    }


def _from_row(row: dict[str, Any]) -> tuple[str, tuple[Stamp, Look]]:
    known = Print(row["content"], row["appearance"]) if row["content"] else None
    deep = row["deep"] and tuple(row["deep"])
    look = Look(row["digest"], row["reason"], tuple(row["shape"]), deep, known)
    return os.fsdecode(row["name"]), (tuple(row["stamp"]), look)


def _file(place: _Place, path: str) -> pathlib.Path:
    return place.folder / f"{slug(os.fsencode(path).decode(errors='backslashreplace'))}.parquet"


def _version() -> bytes:
    """What looks depend on beside the files."""
    return f"{_FORMAT}, Pillow {PIL.__version__}".encode()
