"""How loops over pixels are compiled (numba).

Compiled loops are kept on the disk, beside their file or in the user's cache. What is kept has the
digest of all that it is made of in its name (`_digest`), so that none is taken for another, and
what cannot be read or written is compiled anew. What the code is made of (`rules`) comes to loops
as arguments, and each file of loops has inner functions of its own alone.
"""

import functools
import hashlib
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import numba

inner = functools.partial(numba.njit, nogil=True, error_model="numpy")
"""Decorates what compiled loops of the same file call."""
summed = functools.partial(inner, fastmath={"reassoc", "nsz"})
"""As `inner`; sums are made in any order."""


class outer:
    """Decorates what Python calls; other threads run meanwhile, so that several may call it.

    Args:
      loops: the function.
    """

    def __init__(self, loops: Callable[..., Any]) -> None:
        loops.__qualname__ += f"_{_digest(loops)}"  # of which numba makes names of files
        self._loops = loops
        try:
            self._made = inner(loops, cache=True)
        except RuntimeError:  # there is no folder that could be written
            self._made = inner(loops)

    def __call__(self, *given: Any) -> Any:
        """What the loops return, which are compiled for the first arrays of a kind."""
        try:
            return self._made(*given)
        except Exception:  # a full disk, a cut file, another user's
            self._made = inner(self._loops)
            return self._made(*given)

    @property
    def signatures(self) -> list[Any]:
        """The kinds of arrays for which loops are there."""
        return self._made.signatures


def _digest(loops: Callable[..., Any]) -> str:
    """Of the loops' file and this one."""
    paths = (inspect.getsourcefile(loops), __file__)
    sources = [pathlib.Path(path).read_bytes() for path in paths]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()[:12]
