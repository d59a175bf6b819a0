"""Files and folders that are either whole or absent, and files that one process holds."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfp_ood.errors import DiskFullError, first_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the OSErrors that mean that there is no room: of the disk, of a quota, of a limit."""


def means_full(error: Exception) -> bool:
    """Whether an error means that there is no room, TensorFlow's by what they say."""
    if isinstance(error, OSError):
        return error.errno in FULL
    is_tensorflow_s = type(error).__module__.startswith("tensorflow.")
    return is_tensorflow_s and any(os.strerror(number) in str(error) for number in FULL)


@contextlib.contextmanager
def full_disk_named() -> Iterator[None]:
    """Says what to do where there is no room.

    Raises:
      DiskFullError: in the place of an error that means this.
    """
    try:
        yield
    except Exception as error:
        if not means_full(error):
            raise
        raise DiskFullError(
            f"the disk is full, or a quota is used up ({first_line(error)}). What was finished is "
            "kept: make room and run the same again."
        ) from error


_TEMPORARY = re.compile(r"\..+\.(?P<process>\d{1,9})\.tmp(\.[^.]+)?")
"""What `replacing` and `replacing_folder` write to."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path`, moved onto it if the block ends without an error.

    The parent folder is made if need be. The temporary name keeps the suffix, because libraries
    choose the format by it, and holds the process id, so that two processes do not share it.

    Args:
      path: the file to make or replace; after an error it is as it was before.

    Yields:
      The path to write to.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """`np.save`, which writes past Python: of a full disk its errors have no number, and of the
    last few bytes there is none.

    Raises:
      OSError: the array cannot be written.
    """
    with open(path, "wb") as file:
        np.lib.format.write_array(SimpleNamespace(write=file.write), array, allow_pickle=False)


def write_json(path: str | os.PathLike[str], facts: Any) -> None:
    """Writes facts, of finite numbers only, for people and programs; whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """The same for a folder: gives a new empty one, which takes the place of `path` at the end.

    Yields:
      The folder to write to.
    """
    path = pathlib.Path(path)
    temporary, old = (
        path.with_name(f".{path.name}.{os.getpid()}.tmp{end}") for end in ("", ".old")
    )
    for folder in (temporary, old):
        shutil.rmtree(folder, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.is_symlink():  # of a folder elsewhere, which stays
            path.unlink()
        elif path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what killed processes were writing by `replacing` or `replacing_folder`.

    Looks in `folder` and the folders in it. Files of living processes stay; those of this one's
    number are older than it (in a container every process may have the same), so that this is to
    be called before anything is written.
    """
    folder = pathlib.Path(folder)
    for path in (*folder.glob(".*.tmp*"), *folder.glob("*/.*.tmp*")):
        found = _TEMPORARY.fullmatch(path.name)
        if not found or _is_alive(int(found["process"])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_alive(process: int) -> bool:
    """Whether a process of this number, other than this one, runs on this machine."""
    if process in (0, os.getpid()):
        return False
    try:
        os.kill(process, 0)  # signal 0 is none: it only asks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


class HeldError(Exception):
    """A file is held by another process; the argument is what that one wrote into it."""


@contextlib.contextmanager
def held(path: str | os.PathLike[str], note: str) -> Iterator[None]:
    """Holds a file, which is made, for this process; a kill gives it back, as does the kernel.

    Args:
      path: of the file, which is removed at the end. Its folder must exist.
      note: who holds it, for others to read.

    Raises:
      HeldError: another process, or another block in this one, holds it.
      OSError: the file cannot be made or held here.
    """
    path = pathlib.Path(path)
    handle = _hold(path)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, note.encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is given back: nobody else's file
        os.close(handle)


def this_process() -> str:
    """A note for `held` of who holds a file."""
    started = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    return json.dumps({"process": os.getpid(), "host": socket.gethostname(), "started": started})


def described(note: str) -> str:
    """Words for what `this_process` gave, "" for a file that is not written yet."""
    try:
        found = json.loads(note)
        return f": process {found['process']} on {found['host']}, since {found['started']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _hold(path: pathlib.Path) -> int:
    """A descriptor of the file at `path` that is locked."""
    while True:
        with contextlib.ExitStack() as stack:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HeldError(os.pread(handle, 1000, 0).decode(errors="replace")) from None
            # Whoever held it may have removed it after it was opened here.
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                stack.pop_all()
                return handle
