"""The texts of figures, shown as they are: no mathematics, and letters of any script.

Names of folders may hold anything. Of matplotlib's own font, which most figures are lettered in,
Chinese for one is missing: such letters are taken from another font of this machine, or are
escaped where it has none.
"""

import functools
from collections.abc import Collection

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

_LAST_RESORT = "Last Resort"
"""How fonts are called that have a box for every letter."""
_REGULAR = 400


def make_plain(figure: Figure) -> None:
    """Makes all texts of a figure mean themselves.

    A `$` is no mathematics, and what no font can show is escaped, as in "\\u4e2d".

    Args:
      figure: drawn, to be saved; changed.
    """
    missing = {text: _missing(text) for text in figure.findobj(Text) if text.get_text()}
    families, hopeless = _fonts_for(frozenset().union(*missing.values()))
    for text, letters in missing.items():
        text.set_parse_math(False)
        if letters:
            text.set_fontfamily([*text.get_fontfamily(), *families])
            text.set_text(_escaped(text.get_text(), hopeless))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        words = [label.get_text() for label in axis.get_majorticklabels()]
        if hopeless.intersection("".join(words)):  # they are set again whenever they are drawn
            axis.set_ticks(axis.get_majorticklocs(), [_escaped(word, hopeless) for word in words])


def _missing(text: Text) -> frozenset[str]:
    """The letters of a text that its font lacks."""
    letters = frozenset(text.get_text()) - {"\n"}
    return letters - _shown(font_manager.findfont(text.get_fontproperties()), letters)


def _shown(path: str, letters: Collection[str]) -> frozenset[str]:
    """Those of some letters that a font file can show in any size."""
    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):  # which is how FreeType fails
        return frozenset()
    if not font.scalable:
        return frozenset()
    return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))


def _escaped(text: str, letters: Collection[str]) -> str:
    """The text with some of its letters escaped."""
    return "".join(c.encode("unicode_escape").decode() if c in letters else c for c in text)


@functools.lru_cache(maxsize=64)
def _fonts_for(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families of this machine's fonts that have some letters, and the letters that none has."""
    if not letters:
        return (), letters

    def plainness(entry: font_manager.FontEntry) -> tuple:
        return entry.style != "normal", abs(int(entry.weight) - _REGULAR), entry.fname

    entries = sorted(font_manager.fontManager.ttflist, key=plainness, reverse=True)
    files = {one.name: one.fname for one in entries if not one.name.startswith(_LAST_RESORT)}
    shown = {name: _shown(files[name], letters) for name in sorted(files)}
    families, rest = [], letters
    while rest and (best := max(shown, key=lambda name: len(shown[name] & rest))):
        if not shown[best] & rest:
            break
        families.append(best)
        rest -= shown[best]
    return tuple(families), rest
