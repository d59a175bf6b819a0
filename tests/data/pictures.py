"""Image files byte by byte, as no library writes them."""

import struct
import zlib

import numpy as np

II, MM = "<", ">"
BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
DATE_TIME, ORIENTATION = 0x0132, 0x0112


def ifd(entries, start, order=II):
    """A TIFF directory at `start`: entries of (tag, type, count, bytes of the values)."""
    head = struct.pack(f"{order}H", len(entries))
    place, table, pool = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, values in sorted(entries):
        field = values.ljust(4, b"\0")
        if len(values) > 4:
            field, pool = struct.pack(f"{order}I", place + len(pool)), pool + values
        table += struct.pack(f"{order}HHI", tag, kind, count) + field
    return head + table + bytes(4) + pool


def short(tag, *values, order=II):
    return tag, SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values)


def long(tag, value, order=II):
    return tag, LONG, 1, struct.pack(f"{order}I", value)


def header(order=II):
    return (b"II*\0" if order == II else b"MM\0*") + struct.pack(f"{order}I", 8)


def exif(*entries, order=II):
    """EXIF as in a JPEG's APP1 segment, without the segment's head."""
    return b"Exif\0\0" + header(order) + ifd(entries, 8, order)


def orientation(value, order=II):
    return short(ORIENTATION, value, order=order)


def tiff(pixels, photometric=1, sample_format=None, bits=None, extra=(), order=II, more=()):
    """An uncompressed TIFF of an array [h, w] or [h, w, c]; `bits` where the array holds bytes."""
    pixels = np.atleast_3d(pixels)
    height, width, channels = pixels.shape
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if bits:
        width = len(content) // height * 8 // bits
    entries = [
        short(256, width, order=order),
        short(257, height, order=order),
        short(258, *[bits or pixels.itemsize * 8] * channels, order=order),
        short(259, 1, order=order),
        short(262, photometric, order=order),
        short(277, channels, order=order),
        short(278, height, order=order),
        long(279, len(content), order=order),
        *([short(338, *extra, order=order)] if extra else []),
        *([short(339, *[sample_format] * channels, order=order)] if sample_format else []),
        *more,
    ]
    start = 8 + len(ifd([*entries, long(273, 0, order)], 8, order))
    return header(order) + ifd([*entries, long(273, start, order)], 8, order) + content


def chunk(kind, content):
    """A PNG's chunk."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(pixels, chunks=(), colour=None):
    """A PNG of an array [h, w] or [h, w, c], 8 or 16 bits, with chunks before the pixels."""
    pixels = np.atleast_3d(pixels)
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if colour is None else colour
    head = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, colour, 0, 0, 0)
    rows = [b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels]
    parts = [
        chunk(b"IHDR", head),
        *chunks,
        chunk(b"IDAT", zlib.compress(b"".join(rows))),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
