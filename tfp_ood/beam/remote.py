"""Files wherever Beam finds them (local, gs://, s3://, hdfs://), for libraries that need paths.

All access goes through Beam's FileSystems, so that one set of credentials and extras
(`apache-beam[gcp]`, `[aws]`, `[azure]`, `[hadoop]`) serves the input, the model and the output.
"""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from tfp_ood import paths
from tfp_ood.errors import UserError

_SAVED_MODEL_FOLDERS = ("", "variables", "assets")
"""Relative; not every file system of Beam lists folders below folders."""


def absolute(path: str) -> str:
    """The path from any folder of this machine; what names a file system is left as it is."""
    return os.path.abspath(os.path.expanduser(path)) if is_local(path) else path


def is_local(path: str) -> bool:
    """Whether the path is one of the machine that asks."""
    return FileSystems.get_scheme(path) is None


def as_pattern(text: str) -> str:
    """A pattern of files, from any folder of this machine, for Beam.

    Folders and files that are there under their very name mean themselves: `a [1]/*.png` is of the
    folder `a [1]`, where there is one, and not of `a 1`.
    """
    path = absolute(text)
    if not is_local(path):
        return path
    first, *parts = pathlib.Path(path).parts
    there = first
    while parts and os.path.lexists(os.path.join(there, parts[0])):
        there = os.path.join(there, parts.pop(0))
    return os.path.join(literal(there), *parts)


def literal(path: str) -> str:
    """The pattern of this very path; of * and ? too, which match themselves, and others."""
    # Beam cannot quote; this is a set of characters, not the nested one that Python warns of.
    return path.replace("[", "[\\[]")


def some_match(pattern: str, failure: str) -> bool:
    """Whether there is a file of this pattern, as Beam matches (`*` within a folder, `**` across).

    Raises:
      UserError: `failure`, with a reason: the file system cannot be asked, or is not installed.
    """
    try:
        return bool(FileSystems.match([pattern], limits=[1])[0].metadata_list)
    # Each file system has errors of its own, ValueError for one that is not installed among them.
    except Exception as error:
        raise UserError(f"{failure} ({error}).") from error


def missing_shards(pattern: str) -> int:
    """How many of the files of this pattern are not there, by what names such as
    `a-00000-of-00004` say."""
    found = [one.path for one in FileSystems.match([pattern])[0].metadata_list]
    numbers = [int(match[1]) for path in found if (match := re.search(r"-of-(\d+)$", path))]
    return max(numbers, default=0) - len(numbers)


def matched(pattern: bytes) -> list[FileMetadata]:
    """The files of a pattern, which is given as the bytes of its name.

    Beam's own step for it encodes texts as UTF-8, and not all names are that.
    """
    return FileSystems.match([os.fsdecode(pattern)])[0].metadata_list


def new_output(prefix: str) -> str:
    """How the names of files begin that are to be written, from any folder of this machine.

    Raises:
      UserError: some exist, or it cannot be told. Shards of two runs would lie side by side, and be
        read as one. Or the path is a pattern: Beam deletes what matches before it writes.
    """
    path = absolute(prefix)
    if any(character in path for character in "*?["):
        raise UserError(f"--output: got {path!r}; valid is a path without * ? [ in it.")
    failure = f"--output: {prefix!r} cannot be looked at"
    if any(some_match(f"{path}-{end}", failure) for end in ("*.parquet", "skipped-*.jsonl")):
        raise UserError(
            f"--output: there are files {prefix}-* of another run; valid is a new name, "
            "or remove them."
        )
    return path


def read(path: str) -> bytes:
    """The content of a file, not decompressed."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


@contextlib.contextmanager
def local_file(path: str) -> Iterator[str]:
    """A file on this machine with the content of `path`, decompressed if its suffix says .gz etc.

    The file itself where that will do, else a copy, which is removed in the end. A copy takes as
    much room in the temporary folder as the file.
    """
    is_plain = CompressionTypes.detect_compression_type(path) == CompressionTypes.UNCOMPRESSED
    if is_local(path) and is_plain:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="tfp_ood-") as copy:
        with FileSystems.open(path) as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy.name


@contextlib.contextmanager
def local_saved_model(path: str) -> Iterator[str]:
    """A folder on this machine with the SavedModel at `path`: itself, or a copy for the while.

    By a name that TensorFlow takes as it is.
    """
    if is_local(path):
        yield paths.for_tensorflow(path)
        return
    with tempfile.TemporaryDirectory(prefix="tfp_ood-") as root:
        for folder in _SAVED_MODEL_FOLDERS:
            part = FileSystems.join(path, folder) if folder else path
            (found,) = FileSystems.match([FileSystems.join(literal(part), "*")])
            for file in found.metadata_list:
                local = pathlib.Path(root) / folder / file.path.rsplit("/", 1)[-1]
                local.parent.mkdir(exist_ok=True)
                local.write_bytes(read(file.path))
        yield root
