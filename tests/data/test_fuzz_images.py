"""Image files of every format with random metadata and random damage: read, or refused by name.

Seeded: a failure says which file it was, and `made(kind, seed)` is that file.
"""

import io
import random

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.data import pictures
from tfp_ood.data import decoding
from tfp_ood.data.decoding import decode_content
from tfp_ood.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of metadata that make no sense

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "raw TIFF")
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "PPM": ("1", "L", "RGB", "I"),
}
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_deflate", "packbits")
COMPRESSIONS_OF = {"1": ("group3", "group4"), "L": ("jpeg",), "RGB": ("jpeg",), "CMYK": ("jpeg",)}
"""Of TIFFs: those of any mode, and further ones. Others crash Pillow 12.3 in writing."""

LAYOUTS = (
    *((1, photometric, dtype, None, ()) for photometric in (0, 1) for dtype in ("u1", "u2")),
    *((1, 1, f"i{size}", 2, ()) for size in (1, 2, 4)),
    *((1, photometric, "f4", 3, ()) for photometric in (0, 1)),
    *((1, 1, "u4", 1, ()), (1, 6, "u1", None, ()), (3, 6, "u1", None, ()), (3, 8, "u1", None, ())),
    *((2, 1, "u1", None, (extra,)) for extra in (0, 1, 2)),
    *((3, 2, dtype, 1, ()) for dtype in ("u1", "u2")),
    *((4, 2, dtype, 1, (extra,)) for dtype in ("u1", "u2") for extra in (0, 1, 2)),
    *((4, 5, dtype, None, ()) for dtype in ("u1", "u2")),
)
"""Of raw TIFFs: channels, photometric interpretation, numbers, sample format, extra samples."""

NUMBER = 1000
"""Files of each kind, in the suite; the slow test has 20 times as many."""


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A damaged header may ask for 100 million pixels, which are not what is tested."""
    monkeypatch.setattr(decoding, "_MAX_PIXELS", 1_000_000)


def entries(rng):
    """Entries of EXIF, or of a TIFF: usual tags and others, of types that they should not have."""
    usual = (0x010E, 0x0110, 0x0112, 0x011A, 0x0128, 0x0132, 0x0213, 0x8769, 0x8825, 0x9286)
    found = {}
    for _ in range(rng.randrange(8)):
        tag = rng.choice(usual) if rng.random() < 0.8 else rng.randrange(0x9000, 1 << 16)
        kind, count = rng.randrange(14), rng.choice((0, 1, 1, 1, 2, 5, 1000))
        found[tag] = (tag, kind, count, rng.randbytes(rng.choice((0, 2, 4, 8, 40))))
    if rng.random() < 0.5:
        found[pictures.ORIENTATION] = pictures.orientation(rng.randrange(10))
    return list(found.values())


def metadata(kind, rng, mode="RGB"):
    """Options of Pillow's `save` for a picture of a mode."""
    options = {}
    if kind in ("PNG", "JPEG", "WEBP") and rng.random() < 0.8:
        exif = pictures.exif(*entries(rng), order=rng.choice((pictures.II, pictures.MM)))
        options["exif"] = exif if rng.random() < 0.7 else exif[: rng.randrange(6, len(exif))]
    if kind in ("PNG", "JPEG", "WEBP", "TIFF") and rng.random() < 0.3:
        options["icc_profile"] = rng.randbytes(rng.choice((1, 128, 70_000)))
    if kind in ("JPEG", "GIF") and rng.random() < 0.3:
        options["comment"] = rng.randbytes(rng.randrange(300))
    if kind in ("JPEG", "WEBP") and rng.random() < 0.3:
        options["xmp"] = b'<x tiff:Orientation="%c"/>' % rng.randrange(256)
    if kind == "PNG" and rng.random() < 0.5:
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        info.add_text("Raw profile type exif", rng.choice(("", "\nexif\n 4\nzz", "\n" * 9)))
        info.add_itxt("XML:com.adobe.xmp", f'tiff:Orientation="{rng.randrange(12)}"', zip=True)
        info.add(b"eXIf", rng.randbytes(rng.randrange(30)))
    if kind == "TIFF":
        options["compression"] = rng.choice((*COMPRESSIONS, *COMPRESSIONS_OF.get(mode, ())))
    return options


def picture(kind, rng):
    """A picture of a few pixels."""
    mode = rng.choice(MODES[kind])
    width, height = rng.randrange(1, 20), rng.randrange(1, 20)
    if mode in ("I;16", "I", "F"):
        values = np.frombuffer(rng.randbytes(2 * width * height), np.uint16)
        return Image.fromarray(values.reshape(height, width)).convert(mode)
    plain = Image.frombytes("RGB", (width, height), rng.randbytes(3 * width * height))
    return plain.convert(mode)


def raw_tiff(rng):
    """A TIFF of numbers of any kind, with any entries."""
    channels, photometric, dtype, sample_format, extra = rng.choice(LAYOUTS)
    size = rng.randrange(1, 12), rng.randrange(1, 12), channels
    count = size[0] * size[1] * channels * np.dtype(dtype).itemsize
    values = np.frombuffer(rng.randbytes(count), dtype).reshape(size)
    order = rng.choice((pictures.II, pictures.MM))
    more = [] if rng.random() < 0.3 else entries(rng)
    return pictures.tiff(values, photometric, sample_format, extra=extra, order=order, more=more)


def whole(kind, rng):
    """A file that is not damaged; its metadata may make no sense."""
    if kind == "raw TIFF":
        return raw_tiff(rng)
    buffer, image = io.BytesIO(), picture(kind, rng)
    image.save(buffer, kind, **metadata(kind, rng, image.mode))
    return buffer.getvalue()


def damaged(content, rng):
    """The file with a few changes: bytes, numbers, lengths, parts, the end."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        # Headers are short, and what is in them matters most.
        place = rng.randrange(max(1, min(len(content), rng.choice((30, 200, 1 << 30)))))
        what = rng.randrange(6)
        if what == 0:
            content[place : place + 1] = rng.randbytes(1)
        elif what == 1:
            content[place : place + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF))])
        elif what == 2:
            content[place : place + 4] = rng.choice((bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"))
        elif what == 3:
            del content[place : place + rng.randrange(1, 40)]
        elif what == 4:
            content[place:place] = rng.randbytes(rng.randrange(1, 40))
        else:
            del content[rng.randrange(len(content) + 1) :]
    return bytes(content)


def made(kind, seed):
    """The file of a number, damaged or not."""
    rng = random.Random(f"{kind} {seed}")
    content = whole(kind, rng)
    return content if rng.random() < 0.2 else damaged(content, rng)


def check(kind, seeds):
    """Each file is read as the pixels of an image, or refused with a reason; both happen."""
    outcomes = {True: 0, False: 0}
    for seed in seeds:
        try:
            pixels = decode_content(made(kind, seed))
        except DataError as error:
            outcomes[False] += 1
            assert str(error).strip(), (kind, seed)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of made({kind!r}, {seed})") from error
        else:
            outcomes[True] += 1
            assert pixels.dtype == np.uint8 and pixels.ndim == 3, (kind, seed)
            assert pixels.shape[2] in (1, 3) and pixels.size, (kind, seed)
    assert min(outcomes.values()) > len(seeds) // 20, outcomes


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_with_a_reason(kind):
    check(kind, range(NUMBER))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind):
    check(kind, range(NUMBER, 21 * NUMBER))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_whatever_stands_beside_a_picture_it_is_used(kind):
    """As it lies or turned: which of both, that is all that metadata can change."""
    plain = Image.fromarray(np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3))
    options, buffer = {"lossless": True} if kind == "WEBP" else {}, io.BytesIO()
    plain.save(buffer, kind, **options)
    lying = decode_content(buffer.getvalue())
    allowed = {turn(lying).tobytes() for turn in (lambda p: p, *decoding._TURNS.values())}
    found = set()
    for seed in range(NUMBER):
        buffer = io.BytesIO()
        plain.save(buffer, kind, **options, **metadata(kind, random.Random(seed)))
        found.add(decode_content(buffer.getvalue()).tobytes())
    assert found == allowed
