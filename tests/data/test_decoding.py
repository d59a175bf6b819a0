"""One file: what is in it beside the picture does not matter, and values have their white."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from tests.data import pictures
from tests.data.pictures import MM, chunk, png, tiff
from tfp_ood import signals
from tfp_ood.data import decoding
from tfp_ood.data.decoding import decode, decode_content
from tfp_ood.errors import DataError

PHOTO = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3) * 3
DEEP = np.array([[0, 257, 32_896, 65_535]], np.uint16)
IN_EIGHT = [0, 1, 128, 255]
LATE = pictures.DATE_TIME, pictures.RATIONAL, 1, bytes(8)
"""A DateTime that is no text, which Pillow reads and cannot write anew."""


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_of_metadata_the_orientation_alone_is_read(kind):
    """A DateTime of another type once ended everything: it cannot be written anew."""
    image, options = Image.fromarray(PHOTO), {"WEBP": {"lossless": True}}.get(kind, {})
    content = tiff(PHOTO, 2, more=[pictures.orientation(6), LATE])
    plain = tiff(PHOTO, 2)
    if kind != "TIFF":
        content = saved(image, kind, exif=pictures.exif(pictures.orientation(6), LATE), **options)
        plain = saved(image, kind, **options)
    expected = np.rot90(decode_content(plain), -1)
    assert expected.shape == (4, 6, 3)
    np.testing.assert_array_equal(decode_content(content), expected)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_turned_as_pillow_does(orientation):
    """0 and 9 mean nothing; in both orders of bytes, and for gray."""
    for order in (pictures.II, MM):
        exif = pictures.exif(pictures.orientation(orientation, order), order=order)
        for pixels in (PHOTO, PHOTO[..., 0]):
            content = saved(Image.fromarray(pixels), "PNG", exif=exif)
            expected = np.atleast_3d(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
            found = decode_content(content)
            np.testing.assert_array_equal(found, expected)
            assert found.flags.c_contiguous


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        pictures.exif((pictures.ORIENTATION, pictures.RATIONAL, 1, bytes(8))),
        pictures.exif((pictures.ORIENTATION, pictures.ASCII, 2, b"6\0")),
        pictures.exif((pictures.ORIENTATION, 77, 1, b"6")),
    ],
    ids=range(6),
)
@pytest.mark.filterwarnings("ignore")  # Pillow's, of EXIF
def test_a_picture_whose_exif_makes_no_sense_is_used_as_it_lies(exif):
    plain = decode_content(saved(Image.fromarray(PHOTO), "JPEG"))
    found = decode_content(saved(Image.fromarray(PHOTO), "JPEG", exif=exif))
    np.testing.assert_array_equal(found, plain)


ODD_RESOLUTION = 0x011A, pictures.ASCII, 0, b""
UNIT = pictures.short(0x0128, 2)


def test_metadata_that_pillow_gives_a_file_up_for_are_left_out():
    """Not the orientation among them, nor what says how colours are stored."""
    exif = pictures.exif(pictures.orientation(6), UNIT, ODD_RESOLUTION)
    for image in (Image.fromarray(PHOTO), Image.fromarray(PHOTO).convert("CMYK")):
        plain = decode_content(saved(image, "JPEG"))
        content = saved(image, "JPEG", exif=exif, comment=b"words")
        np.testing.assert_array_equal(decode_content(content), np.rot90(plain, -1))
    chunks = chunk(b"pHYs", b"x"), chunk(b"gAMA", b""), chunk(b"eXIf", exif[6:])
    np.testing.assert_array_equal(decode_content(png(PHOTO, chunks)), np.rot90(PHOTO, -1))
    clear = chunk(b"tRNS", bytes(6))
    np.testing.assert_array_equal(decode_content(png(PHOTO + 1, [chunks[0], clear])), PHOTO + 1)


def test_a_file_that_is_cut_is_not_used_without_its_metadata(tmp_path):
    exif = pictures.exif(UNIT, ODD_RESOLUTION)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    for content in (saved(photo, "JPEG", exif=exif), saved(photo, "PNG", exif=exif)):
        (tmp_path / "a").write_bytes(content)
        assert decode(str(tmp_path / "a")).shape == (40, 40, 3)
        for end in (3, 30, 100, len(content) // 2):
            (tmp_path / "a").write_bytes(content[:end])
            with pytest.raises(DataError, match="a: cannot be read as an image"):
                decode(str(tmp_path / "a"))


@pytest.mark.parametrize("error", [KeyError(6), RuntimeError("odd"), RecursionError(), Exception()])
def test_whatever_a_decoder_raises_names_the_file(error, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(decoding.Image, "open", fail)
    said = str(error) or type(error).__name__
    with pytest.raises(DataError, match=rf"a\.png: cannot be read as an image \({said}\)\.$"):
        decode(str(tmp_path / "a.png"))
    with pytest.raises(DataError, match=f"^{said}$"):
        decode_content(b"")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), signals.Stopped(15), SystemExit(1)])
def test_who_stops_a_program_is_no_damaged_file(error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(decoding.Image, "open", fail)
    with pytest.raises(type(error)):
        decode("a.png")


@pytest.mark.parametrize(
    ("dtype", "sample_format", "words"),
    [
        ("u4", 1, r"32-bit integers \(Pillow's mode I\)"),
        ("i4", 2, r"signed 32-bit integers \(Pillow's mode I\)"),
        ("i2", 2, r"signed 16-bit integers \(Pillow's mode I\)"),
        ("i1", 2, r"signed 8-bit integers \(Pillow's mode L\)"),
        ("f4", 3, r"floating-point numbers \(Pillow's mode F\)"),
    ],
)
@pytest.mark.parametrize("order", [pictures.II, MM])
def test_numbers_of_which_white_is_not_known_are_refused(dtype, sample_format, words, order):
    """They were once taken modulo 256."""
    values = np.array([[0, 1, 100, 127]]).astype(dtype)
    if (dtype, order) == ("u4", MM):
        words = "no image of"  # Pillow does not know them
    with pytest.raises(DataError, match=words):
        decode_content(tiff(values, sample_format=sample_format, order=order))


@pytest.mark.parametrize("order", [pictures.II, MM])
def test_sixteen_bits_of_a_tiff(order):
    found = decode_content(tiff(DEEP, order=order))
    assert found.ravel().tolist() == IN_EIGHT


def test_where_white_is_zero_black_is_black():
    """Pillow turns 8 bits round, and left 16 as they were."""
    turned = tiff(65_535 - DEEP, photometric=0)
    assert decode_content(turned).ravel().tolist() == IN_EIGHT
    eight = np.array([IN_EIGHT], np.uint8)
    assert decode_content(tiff(255 - eight, photometric=0)).ravel().tolist() == IN_EIGHT


def test_white_of_twelve_bits_is_white():
    packed = np.frombuffer(bytes.fromhex("000fff800010"), np.uint8)[None]
    found = decode_content(tiff(packed, bits=12))
    assert found.ravel().tolist() == [0, 255, 128, 1]


def test_transparent_gray_of_any_depth_stays_gray_on_black():
    half = np.array([[[200, 128], [200, 255]]], np.uint8)
    assert decode_content(png(half)).tolist() == [[[100], [200]]]
    assert decode_content(png(half.astype(np.uint16) * 257)).tolist() == [[[100], [200]]]
    assert decode_content(tiff(half, extra=[2])).tolist() == [[[100], [200]]]
    clear = chunk(b"tRNS", (257).to_bytes(2, "big"))
    assert decode_content(png(DEEP, [clear])).ravel().tolist() == [0, 0, 128, 255]


FEW_BITS = {2: (2, 0b00_01_10_11, [0, 85, 0, 255]), 4: (5, 0x015F, [0, 17, 0, 255])}
"""Bits of a gray PNG -> the value that is transparent, a row of four, and what it is on black."""


@pytest.mark.parametrize("depth", FEW_BITS)
def test_transparent_gray_of_few_bits(depth):
    """Whose values Pillow scales, and whose transparent one it does not."""
    key, row, values = FEW_BITS[depth]
    packed = zlib.compress(b"\0" + row.to_bytes(depth // 2, "big"))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 4, 1, depth, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", key)),
        (b"IDAT", packed),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    assert decode_content(content).ravel().tolist() == values


def test_gray_that_is_laid_on_black_already():
    """Where Pillow knows it; it did not always."""
    content = tiff(np.array([[[100, 128], [200, 255]]], np.uint8), extra=[1])
    if (b"II", 1, (1,), 1, (8, 8), (1,)) in TiffImagePlugin.OPEN_INFO:
        assert decode_content(content).tolist() == [[[100], [200]]]
    else:
        with pytest.raises(DataError, match="it is no image of"):
            decode_content(content)


def test_a_profile_or_text_of_megabytes_is_no_damage():
    noise = np.random.default_rng(0).bytes(1_200_000)
    for found in (
        chunk(b"iCCP", b"camera\0\0" + zlib.compress(noise)),
        chunk(b"zTXt", b"notes\0\0" + zlib.compress(bytes(1_200_000))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"a" * 1_200_000)),
    ):
        np.testing.assert_array_equal(decode_content(png(PHOTO, [found])), PHOTO)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P1 3 1\n1 0 1\n", [0, 255, 0]),
        (b"P4 3 1\n\xa0", [0, 255, 0]),
        (b"P2\n# words\n3 1 15\n0 8 15\n", [0, 136, 255]),
        (b"P5 3 1 255\n\0\x10\xff", [0, 16, 255]),
        (b"P5 3 1 4095\n\0\0\x08\0\x0f\xff", [0, 128, 255]),
        (b"P5 3 1 65535\n\0\0\x80\x80\xff\xff", [0, 128, 255]),
        (b"P6 1 1 255\n\1\2\3", [1, 2, 3]),
        (b"P3 1 1 255\n1 2 3\n", [1, 2, 3]),
    ],
    ids=lambda value: value[:2].decode() if isinstance(value, bytes) else "",
)
def test_portable_maps(content, expected):
    found = decode_content(content)
    assert found.shape == ((1, 1, 3) if len(content.split(b"1 1 255")) > 1 else (1, 3, 1))
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(DEEP // 16), (0, 4095)),
        (tiff(DEEP // 16), (0, 4095)),
        (tiff(DEEP // 16, order=MM), (0, 4095)),
        (png(np.dstack([DEEP // 16] * 3)), (0, 4095)),
        (tiff(np.dstack([DEEP // 16] * 3), 2), (0, 4095)),
        (b"P5 2 1 65535\n\0\x01\x0f\xff", (1, 4095)),
        (b"P5 2 1 4095\n\0\x01\x0f\xff", None),
        (png(DEEP.astype(np.uint8)), None),
        (tiff(np.zeros((1, 3), np.uint8), bits=12), None),
    ],
    ids=range(9),
)
def test_what_sixteen_bits_hold(content, expected):
    """Of files that say what white is, there is nothing to doubt; RGB to 256."""
    assert decoding.decode_any(io.BytesIO(content)).deep == expected
