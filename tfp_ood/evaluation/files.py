"""Files that are either whole or absent."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


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
