"""One image file of a common format -> uint8 pixels, or one reason why not.

Pillow does the decoding, of any version that this package allows; this module needs nothing else.
"""

import dataclasses
import io
import os
import pathlib
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from tfp_ood.data import metadata
from tfp_ood.data.folders import shown
from tfp_ood.errors import DataError, first_line

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_MAX_BYTES = 1 << 28  # of a file that is read a second time, and at once
_MAX_PIXELS = 100_000_000  # 300 MB when decoded, in each of a few threads
# Of sizes that `_decode` judges by itself. Not around each call: threads share the filters.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Bytes of a colour profile or a text of a PNG, where Pillow stops at 1 MiB: larger profiles exist.
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 26
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_WHITE = 65_535
_ORIENTATION = 0x0112  # tags of EXIF and of TIFF
_STEPS = {"L;2": 85, "L;4": 17}
"""See `_Layout.step`."""
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""EXIF's orientations: how the pixels of a file, [h, w, c], are to be shown."""


def decode(path: str) -> np.ndarray:
    """Reads an image file as uint8 [h, w, 1] (gray) or [h, w, 3] (anything else).

    Turned as its EXIF orientation says; transparent images are laid on black (a colour that a
    16-bit RGB file calls transparent is not looked for); 16-bit gray is scaled to 8 bits; palettes
    and CMYK become RGB; of several frames or pages the first is taken.

    Raises:
      DataError: the file cannot be read as an image, is truncated, has more than 100 million
        pixels, or values of which white is not known: floating-point, signed or 32-bit numbers.
    """
    try:
        return decode_any(path).pixels
    except UnreadableError as error:
        raise DataError(f"{shown(path)}: cannot be read as an image ({error}).") from error


def decode_content(content: bytes) -> np.ndarray:
    """The same for the content of a file that has no path on this machine.

    Raises:
      DataError: as `decode`; the message does not name the file.
    """
    try:
        return decode_any(io.BytesIO(content)).pixels
    except UnreadableError as error:
        raise DataError(str(error)) from error


class UnreadableError(Exception):
    """A file that is no image that can be read; says why, without the file's path."""


def _reason(error: Exception) -> str:
    """What an `UnreadableError` says of an error."""
    if isinstance(error, UnidentifiedImageError):  # whose message has an address, or the path
        return f"it is no image of {', '.join(_FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown(first_line(error))


@dataclasses.dataclass(frozen=True)
class Decoded:
    """An image, and what became of its values."""

    pixels: np.ndarray
    """As `decode` gives them."""
    deep: tuple[int, int] | None
    """The lowest and highest value of a file with 16 bits per value that does not say that white
    is less; to about 256 for RGB, of which Pillow gives 8 bits. None for other files."""


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How the values of a file are to be read, as far as Pillow's modes do not tell."""

    is_gray: bool
    is_deep: bool
    """See `Decoded`."""
    white: int
    """Of values with more than 8 bits."""
    is_inverted: bool
    """Whether white is 0, of such values: Pillow turns those of 8 bits round, and no others."""
    step: int
    """Between the values that Pillow makes of gray with 2 or 4 bits; 1 for others."""


def decode_any(file: str | io.BytesIO) -> Decoded:
    """Reads an image from a path, or from what a file holds; see `decode`.

    Raises:
      UnreadableError: as `decode`.
    """
    try:
        return _decode(file)
    except UnreadableError:
        raise
    # Damaged files make decoders raise whatever they please, and not the same in each version.
    except Exception as error:
        decoded = _decode_alone(file)
        if decoded is None:
            raise UnreadableError(_reason(error)) from error
        return decoded


def _decode(file: str | io.BytesIO) -> Decoded:
    with Image.open(file, formats=_FORMATS) as image:
        # The header tells the size before anything is decoded.
        if image.width * image.height > _MAX_PIXELS:
            size = f"{image.width:,} x {image.height:,}"
            raise UnreadableError(f"{size} pixels, more than {_MAX_PIXELS:,} in all")
        layout = _layout(image)  # loading forgets it
        image.load()
        pixels, deep = _to_uint8(image, layout)
        # Pillow has turned a TIFF already; in some versions it does not say so.
        is_upright = image.format == "TIFF"
        return Decoded(pixels if is_upright else _upright(pixels, image.getexif), deep)


def _decode_alone(file: str | io.BytesIO) -> Decoded | None:
    """The picture of a file whose metadata are what kept Pillow from it; None if they are not."""
    try:
        if isinstance(file, str) and os.path.getsize(file) > _MAX_BYTES:
            return None
        content = pathlib.Path(file).read_bytes() if isinstance(file, str) else file.getvalue()
        found = metadata.picture_alone(content)
        decoded = _decode(io.BytesIO(found[0])) if found else None
    except Exception:  # for the same reasons
        return None
    if decoded is None:
        return None

    def exif() -> Image.Exif:
        read = Image.Exif()
        read.load(found[1])
        return read

    return dataclasses.replace(decoded, pixels=_upright(decoded.pixels, exif))


def _layout(image: Image.Image) -> _Layout:
    """Refuses values of which white is not known.

    Raises:
      UnreadableError: says which they are.
    """
    unknown = f"(Pillow's mode {image.mode}), of which white is not known"
    if image.mode == "F":
        raise UnreadableError(f"its pixels are floating-point numbers {unknown}")
    decoder, *_, given = image.tile[0] if image.tile else ("", "")
    raw_mode, *parameters = given if isinstance(given, tuple) else (given,)
    # Of 16-bit gray with transparency Pillow makes RGBA.
    is_gray = image.mode in ("1", "L", "LA", "La") or str(raw_mode).startswith("LA;")
    # A PPM says what white is, and Pillow scales by it; 65535 may be just what fits.
    is_deep = parameters[:1] == [_WHITE] if decoder[:3] == "ppm" else ";16" in str(raw_mode)
    white, is_inverted = _WHITE, False
    if image.format == "TIFF":
        tags = image.tag_v2
        bits = max(tags.get(_BITS, (1,)))
        if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
            raise UnreadableError(f"its pixels are signed {bits}-bit integers {unknown}")
        if bits > 16:
            raise UnreadableError(f"its pixels are {bits}-bit integers {unknown}")
        white = 2**bits - 1
        is_inverted = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
    return _Layout(is_gray, is_deep, white, is_inverted, _STEPS.get(raw_mode, 1))


def _upright(pixels: np.ndarray, exif: Callable[[], Image.Exif]) -> np.ndarray:
    """The pixels turned as EXIF's orientation asks; as they lie where it cannot be read.

    No other tag is read, and nothing is written anew: a camera may have left anything there, which
    is no fault of the picture.
    """
    try:
        turn = _TURNS.get(exif().get(_ORIENTATION))
    except Exception:
        turn = None
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _to_uint8(image: Image.Image, layout: _Layout) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The pixels, not turned yet, and `Decoded.deep`."""
    if image.mode in _SIXTEEN_BIT_MODES:
        values = np.asarray(image).astype(np.int32)
        deep = (int(values.min()), int(values.max())) if layout.is_deep else None
        if (transparent := image.info.get("transparency")) is not None:
            values[values == transparent] = 0
        values = layout.white - values if layout.is_inverted else values
        # Rounded; 65535 / 255 = 257 exactly: white stays white. All of it fits 32 bits.
        pixels = (values * 255 + layout.white // 2) // layout.white
        return pixels.astype(np.uint8)[..., np.newaxis], deep
    if image.mode == "La":  # which becomes nothing but LA
        image = image.convert("LA")
    if isinstance(key := image.info.get("transparency"), int) and image.mode == "L":
        image.info["transparency"] = key * layout.step  # Pillow takes the file's own value
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, layer)
    # Gray that went through RGBA has three equal channels, of which the luma is the same value.
    pixels = np.asarray(image.convert("L" if layout.is_gray else "RGB"))
    deep = (256 * int(pixels.min()), 256 * int(pixels.max()) + 255) if layout.is_deep else None
    return pixels[..., np.newaxis] if layout.is_gray else pixels, deep
