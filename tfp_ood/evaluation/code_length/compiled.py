"""How loops over pixels are compiled (numba).

Compiled loops are kept on the disk, beside their file or in the user's cache, and are found stale
by the time and size of that one file. So what the code is made of (`rules`) comes to them as
arguments, never as globals, and each file of loops has inner functions of its own alone.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba

_Loops = Callable[..., Any]

inner = functools.partial(numba.njit, nogil=True, error_model="numpy")
"""Decorates what compiled loops of the same file call."""
summed = functools.partial(inner, fastmath={"reassoc", "nsz"})
"""As `inner`; sums are made in any order."""


def outer(loops: _Loops) -> _Loops:
    """Decorates what Python calls; other threads run meanwhile, so that several may call it."""
    try:
        return inner(loops, cache=True)
    except RuntimeError:  # there is no folder that could be written
        return inner(loops)
