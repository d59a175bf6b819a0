"""What a check found, and the table of all. Loads nothing heavy."""

import dataclasses
from collections.abc import Sequence

HEAD = ("part", "check", "found", "wanted", "")
_VERDICTS = {True: "ok", False: "WRONG", None: ""}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
      part: of the check.
      what: was looked at.
      found: as people read it.
      wanted: what would be right; "" for a figure that is told and not judged.
      ok: whether it was; None for such a figure.
    """

    part: str
    what: str
    found: str
    wanted: str = ""
    ok: bool | None = None


def at_most(part: str, what: str, value: float, limit: float) -> Row:
    """A row of a number that has a limit; what is no number is wrong."""
    return Row(part, what, f"{value:.2g}", f"at most {limit:.2g}", bool(value <= limit))


def markdown(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table, in columns of equal width."""
    cells = [HEAD]
    for row in rows:
        texts = (row.part, row.what, row.found, row.wanted, _VERDICTS[row.ok])
        cells.append(tuple(text.replace("|", "/").replace("\n", " ") for text in texts))
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    lines = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def all_right(rows: Sequence[Row]) -> bool:
    """Whether nothing is wrong, and something was judged."""
    verdicts = [row.ok for row in rows]
    return True in verdicts and False not in verdicts
