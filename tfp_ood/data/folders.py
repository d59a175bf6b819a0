"""What lies in a folder of images: files that are images by their names, and everything else.

Nothing here opens an image: which names stand for a folder of images, and what was left out of it,
must be told without TensorFlow.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfp_ood.data import duplicates

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""The files of a folder that are images, by suffix in any case."""

NOT_LOOKED_AT, SIXTEEN_BIT = "not_looked_at", "sixteen_bit"
"""Keys of a set's record: see `record_of_others`, and `record_of_sixteen_bit`."""

_MAX_LISTED = 100  # of a folder's other files: a million notes would fill every score table
_MAX_NAMED = 5  # in one line
_WHITE = 65_535
_NARROW = 16_384  # a quarter of 16 bits: 14 bits, or fewer, that nobody has scaled
_FEW = 10  # one of so many files is not what most are like
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a name may hold a newline

_HEAD_BYTES = 132
_MAGIC = (
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("JPEG", rb"\xff\xd8\xff"),
    ("GIF", rb"GIF8[79]a"),
    ("WebP", rb"RIFF.{4}WEBP"),
    ("TIFF, or a camera's raw file", rb"II[*+]\0|MM\0[*+]"),
    # "BM" alone may begin a text: the reserved bytes are 0, and then comes a header's size.
    ("BMP", rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}"),
    ("PBM, PGM, PPM or PAM", rb"P[1-7]\s+(?:#[^\n]*\n\s*)*(?:\d|WIDTH)"),
    ("AVIF", rb".{4}ftypavi[fs]"),
    ("HEIC", rb".{4}ftyp(?:he[iv][cmsx]|mif1|msf1)"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("Photoshop", rb"8BPS"),
    ("OpenEXR", rb"\x76\x2f\x31\x01"),
    ("FITS", rb"SIMPLE  ="),
    ("QOI", rb"qoif"),
    ("DICOM", rb".{128}DICM"),
)
_MAGIC = tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _MAGIC)

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def shown(path: str) -> str:
    r"""A path for people, and for files that must be UTF-8: other bytes are escaped, as \xe9."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def list_files(path: str) -> tuple[list[str], list[str]]:
    """The files under a folder, as sorted paths relative to it with `/` between parts.

    Links to folders are followed, each folder once; names that begin with a dot are not looked at.

    Returns:
      Those that are images by their suffix, and all others.

    Raises:
      OSError: a folder cannot be read.
    """
    images, others = [], []
    for parent, files in _walk(path):
        relative = os.path.relpath(parent, path)
        for file in files:
            if not file.startswith("."):
                found = images if file.lower().endswith(IMAGE_SUFFIXES) else others
                found.append(os.path.normpath(os.path.join(relative, file)).replace(os.sep, "/"))
    return sorted(images), sorted(others)


def _walk(path: str) -> Iterator[tuple[str, list[str]]]:
    """See `list_files`: each folder, by the path that leads there first, and its files."""
    seen = {os.path.realpath(path)}

    def is_new(folder: str) -> bool:
        """Whether a folder was not met before: a link may lead back to where it came from."""
        real = os.path.realpath(folder)
        return not (real in seen or seen.add(real))

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(path, followlinks=True, onerror=fail):
        folders[:] = (
            folder
            for folder in sorted(folders)  # of two links to one folder the first is followed
            if not folder.startswith(".") and is_new(os.path.join(parent, folder))
        )
        yield parent, files


def roots(path: str) -> list[str]:
    """A folder, and those that links in it lead to: all that `list_files` lists lies in one."""
    return [path, *(parent for parent, _ in _walk(path) if os.path.islink(parent))]


def image_files(path: str) -> list[str]:
    """The first of `list_files`."""
    return list_files(path)[0]


def kind_of_mode(mode: int) -> str:
    """What a file of this `st_mode` is, in words; "" for a regular one, which alone may be opened.

    Opening a named pipe waits for whoever writes into it, for ever.
    """
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def image_kind(path: str) -> str:
    """Which kind of image a regular file seems to be by its first bytes; "" for none."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    return next((kind for kind, pattern in _MAGIC if pattern.match(head)), "")


def such_as(path: str, names: Sequence[str]) -> str:
    """Words for one of these files below a folder, of the first one of a known kind if there is."""
    for name in names[:_MAX_LISTED]:
        whole = os.path.join(path, name)
        if os.path.isfile(whole) and (kind := image_kind(whole)):
            return f"such as {shown(name)}, which is {kind}"
    return f"such as {shown(names[0])}"


def record_of_others(others: Sequence[tuple[str, str, bool]]) -> dict[str, Any]:
    """What a set's record says of files that were not looked at; {} for none.

    Args:
      others: name, what it is in words ("" if that is not known), whether it looks like an image.
    """
    if not others:
        return {}
    # Those that look like images first: they are what somebody may miss.
    listed = sorted(others, key=lambda other: not other[2])[:_MAX_LISTED]
    found = {
        "num_files": len(others),
        "num_images": sum(is_image for *_, is_image in others),
        "files": [[name, what] for name, what, _ in listed],
    }
    return {NOT_LOOKED_AT: found}


def record_of_sixteen_bit(ranges: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What a set's record says of 16-bit images that use a quarter of their range; {} for others.

    A tenth of them may go lower, and a tenth higher: a mark in white, say.

    Args:
      ranges: lowest and highest value, of 65,535, of each image file with 16 bits per value.
    """
    if not ranges:
        return {}
    lows, highs = (sorted(ends) for ends in zip(*ranges, strict=True))
    few = len(ranges) // _FEW
    low, high = lows[few], highs[-1 - few]
    if high - low >= _NARROW:
        return {}
    return {SIXTEEN_BIT: {"num_files": len(ranges), "low": low, "high": high}}


def cautions(label: str, record: Mapping[str, Any]) -> list[str]:
    """What whoever uses a folder should know of it, in sentences.

    Args:
      label: of the set.
      record: what `record_of_others` and `record_of_sixteen_bit` gave, among others.
    """
    sentences = duplicates.cautions(label, record)
    if (others := record.get(NOT_LOOKED_AT)) and others["num_images"]:
        name, what = others["files"][0]
        sentences.append(
            f"Caution: {label} holds files that were not looked at though they seem to be images: "
            f"{others['num_images']:,} in all, such as {name} ({what}). Only names that end in "
            f"{', '.join(IMAGE_SUFFIXES)} are taken for images: name such files by what they are, "
            "or convert those of other kinds, to PNG say."
        )
    if deep := record.get(SIXTEEN_BIT):
        levels = round((deep["high"] - deep["low"]) * 255 / _WHITE) + 1
        sentences.append(
            f"Caution: the values of the 16-bit images of {label} ({deep['num_files']:,} in all) "
            f"mostly go from {deep['low']:,} to {deep['high']:,}, where white is {_WHITE:,}: they "
            f"use about {levels} of the 256 levels that a model sees. If they have fewer bits than "
            "16, multiply them: those of 12 bits by 16."
        )
    return sentences


def remarks(label: str, record: Mapping[str, Any]) -> list[str]:
    """All that was left out of a folder, and `cautions`: a line each, for a terminal."""
    lines = []
    if skipped := record.get("skipped"):
        told = _named([f"{name} ({reason})" for name, reason in skipped], len(skipped))
        lines.append(f"{label}: left out, as they cannot be read: {told}")
    if others := record.get(NOT_LOOKED_AT):
        told = [f"{name} ({what})" if what else name for name, what in others["files"]]
        lines.append(f"{label}: not looked at: {_named(told, others['num_files'])}")
    return [_CONTROL.sub(_escaped, line) for line in (*lines, *cautions(label, record))]


def _named(names: Sequence[str], count: int) -> str:
    """How many things there are, and the names of the first."""
    dots = ", ..." if count > _MAX_NAMED else ""
    return f"{count:,} ({', '.join(names[:_MAX_NAMED])}{dots})"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
