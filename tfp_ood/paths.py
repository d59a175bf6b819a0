"""Paths of this machine: which are valid, and names for them that TensorFlow takes as they are."""

import atexit
import contextlib
import errno
import functools
import os
import pathlib
import re
import tempfile
from typing import Any

from tfp_ood.errors import UserError

_SCHEME = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]*)://")
_PATTERN = re.compile(r"[*?\[\\]")
_NO_NAME = ".no_such_name"
_LISTED = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^,]*?))\s*(?:,|\Z)', re.DOTALL)


def not_valid(path: str) -> str:
    """What would be valid instead of a path that no run can use; "" for one that it can.

    Runs lock what they write to and replace files in one step, which needs a file system of this
    machine; TensorFlow and the pages need names in UTF-8.
    """
    scheme = _SCHEME.match(path)
    if scheme and scheme["name"].lower() == "file":
        return f"a path without {scheme[0]}"
    if scheme:
        return (
            "a path of this machine, where files can be locked and replaced in one step, as in a "
            f"folder that {scheme[0]} is mounted in"
        )
    if not path:
        return ""
    whole = os.path.abspath(os.path.expanduser(path))
    try:
        whole.encode()
    except UnicodeEncodeError:
        return "a path in UTF-8, such as that of a link to it (ln -s)"
    try:
        os.lstat(os.path.join(whole, _NO_NAME))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "a shorter path, the names in it of at most 255 bytes"
    except ValueError:
        return "a path without a character of code 0"
    return ""


def check_flag(flag: str, *given: str | None) -> None:
    """Refuses paths that are given as `--FLAG`, as `not_valid` does.

    Raises:
      UserError: says what would be valid.
    """
    for path in given:
        if path and (valid := not_valid(path)):
            raise UserError(f"--{flag}: got {path!r}; valid is {valid}.")


def absolute_name(name: Any) -> Any:
    """The name of a set that means the same from any working directory.

    Args:
      name: as in a config. Of `folder:PATH` and `array:PATH` the path is made absolute; all else
        is left as it is.
    """
    kind, _, path = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind not in ("folder", "array") or not path or _SCHEME.match(path):
        return name
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}"


def place(path: str | os.PathLike[str]) -> str:
    """The one name of what a path leads to, however it is spelled and whatever links are in it."""
    return os.path.realpath(path)


def is_inside(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether a place is a folder, or lies in it, at any depth."""
    return pathlib.Path(place(path)).is_relative_to(place(folder))


def for_tensorflow(path: str | os.PathLike[str]) -> str:
    r"""Another name of a path, if TensorFlow would take its own for a pattern; else its own.

    TensorFlow looks for the files of checkpoints, and TFDS for those of data sets, as for patterns,
    in which * ? [ and \ mean something and cannot be quoted. A folder with one of them in its name
    gets a link in the temporary folder until this process ends.

    Args:
      path: of a file or folder; the folders with such names must exist.

    Raises:
      UserError: the temporary folder has such a name itself.
    """
    parts = pathlib.Path(os.path.abspath(path)).parts
    taken = [number for number, part in enumerate(parts) if _PATTERN.search(part)]
    if not taken:
        return os.fspath(path)
    end = taken[-1] + 1
    return os.path.join(_link(os.path.join(*parts[:end])), *parts[end:])


@functools.cache
def _link(folder: str) -> str:
    """A link to a folder, in a folder of its own; both go when the process ends."""
    made = tempfile.mkdtemp(prefix="tfp_ood-")
    link = os.path.join(made, "link")

    def remove() -> None:
        with contextlib.suppress(OSError):
            os.unlink(link)
        with contextlib.suppress(OSError):
            os.rmdir(made)

    atexit.register(remove)
    if _PATTERN.search(made):
        raise UserError(
            f"TMPDIR: got {tempfile.gettempdir()!r}, which TensorFlow takes for a pattern, as it "
            f"does {folder!r}; valid is a folder without * ? [ \\ in its path."
        )
    os.symlink(folder, link)
    return link


def listed(text: str) -> list[str]:
    """The parts of `a,b` that are not empty; of `"a,b",c` the first is `a,b`, as in CSV files."""
    parts = [
        found["plain"] if found["quoted"] is None else found["quoted"].replace('""', '"')
        for found in _LISTED.finditer(text)
    ]
    return [part for part in parts if part]
