"""The parts of the check: name -> module of this folder, and arguments of its `prepare`.

`prepare(smoke, **arguments)` does what may be done beside other parts (checks of numbers, tracing,
compiling) and returns a function that does what needs the device for itself (timing) and returns
the rows of the table. With `smoke` sizes are tiny, and one CPU or two logical ones stand for GPUs.
"""

import importlib
from collections.abc import Callable
from typing import Any

from tests.gpu.table import Row

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    # What takes longest to prepare comes first.
    "train xla bfloat16": ("training", {"xla": True, "precision": "mixed_bfloat16"}),
    "train xla float32": ("training", {"xla": True, "precision": "float32"}),
    "train bfloat16": ("training", {"xla": False, "precision": "mixed_bfloat16"}),
    "train float32": ("training", {"xla": False, "precision": "float32"}),
    "families": ("families", {}),
    "placement": ("placement", {}),
    "mirrored": ("mirrored", {}),
    "serving": ("serving", {}),
    "agreement": ("agreement", {}),
}
SHOWN = tuple(reversed(PARTS))
"""In the order of the table: what is right before what is fast."""

NEEDS_TWO = ("mirrored",)
"""Parts for which the device is divided into two logical ones."""


def prepare(name: str, smoke: bool) -> Callable[[], list[Row]]:
    """Prepares a part of this process."""
    module, arguments = PARTS[name]
    return importlib.import_module(f"tests.gpu.{module}").prepare(smoke, **arguments)
