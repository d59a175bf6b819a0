"""JPEG and PNG files without their metadata, which keep Pillow from some good pictures.

Pillow reads resolutions, profiles and texts when it opens a file, and gives the file up where they
make no sense to it. Which ones these are differs between versions.
"""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_SCAN, _APP0, _APP14, _COMMENT = 0xDA, 0xE0, 0xEE, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_SECTION_HEAD, _CHUNK_FRAME = 4, 12  # bytes beside the content


def picture_alone(content: bytes) -> tuple[bytes, bytes] | None:
    """What a file holds without all that its pixels do not need, and its EXIF.

    Args:
      content: of a file of any kind.

    Returns:
      The shorter content and the EXIF, b"" for none; None if there is nothing to leave out, or it
      is neither a JPEG nor a PNG.
    """
    if content.startswith(_JPEG):
        alone, exif = _jpeg(content)
    elif content.startswith(_PNG):
        alone, exif = _png(content)
    else:
        return None
    return None if len(alone) == len(content) else (alone, exif)


def _jpeg(content: bytes) -> tuple[bytes, bytes]:
    """Leaves out all sections of applications but those that say how colours are stored."""
    parts, exif, place = [content[:2]], b"", 2
    while content[place : place + 1] == b"\xff" and len(content) >= place + _SECTION_HEAD:
        marker = content[place + 1]
        if marker == _SCAN:
            break
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        section = content[place:end]
        if marker not in (*_APPLICATION, _COMMENT) or marker in (_APP0, _APP14):
            parts.append(section)
        elif section[_SECTION_HEAD:].startswith(_EXIF):
            exif = exif or section[_SECTION_HEAD:]
        place = end
    return b"".join(parts) + content[place:], exif


def _png(content: bytes) -> tuple[bytes, bytes]:
    """Leaves out all chunks that are not critical, but for transparency."""
    parts, exif, place = [content[:8]], b"", 8
    while place < len(content):
        end = place + _CHUNK_FRAME + int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if kind[:1].isupper() or kind == b"tRNS":
            parts.append(content[place:end])
        elif kind == b"eXIf":
            exif = content[place + 8 : end - 4]
        place = end
    return b"".join(parts), exif
