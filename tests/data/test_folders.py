"""What is in a folder beside images: counted, listed, never waited for; and what 16 bits hold."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from tfp_ood.config import ConfigError
from tfp_ood.data import folders, image_files, specs
from tfp_ood.errors import DataError

ODD = os.fsdecode(b"caf\xe9.png")


def save(path, size=(4, 4), kind=None):
    Image.new("L", size, 7).save(path, kind)


def ftyp(brand):
    """How a file begins that is made of boxes, as AVIF and HEIC are."""
    return b"\0\0\0\x18ftyp" + brand + bytes(12)


@pytest.fixture(name="photos")
def _photos(tmp_path):
    """Forty pictures of all sorts, as a phone and its owner leave them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30):
        save(folder / f"{number}.jpg")
    save(folder / "a.JFIF", kind="JPEG")
    save(folder / "b.ppm")
    for number in range(3):
        (folder / f"{number}.HEIC").write_bytes(ftyp(b"heic"))
        (folder / f"{number}.avif").write_bytes(ftyp(b"avif"))
    save(folder / "no_suffix", kind="PNG")
    save(folder / "no_suffix_either", kind="JPEG")
    (folder / "notes.txt").write_text("words")
    (folder / ".hidden").write_text("words")
    return folder


def test_what_is_not_looked_at_is_counted_and_listed(photos):
    opened = image_files.open_folder(str(photos))
    assert len(opened.paths) == 32 and not opened.skipped
    others = opened.record["not_looked_at"]
    assert (others["num_files"], others["num_images"]) == (9, 8)
    *images, (name, what) = others["files"]
    assert (name, what) == ("notes.txt", "")
    assert dict(map(tuple, images)) == {
        **{f"{number}.{kind}": kind.upper() for number in range(3) for kind in ("HEIC", "avif")},
        "no_suffix": "PNG",
        "no_suffix_either": "JPEG",
    }
    left_out, copies, caution = image_files.remarks([f"folder:{photos}"], "error")
    assert "exact copies of others" in copies
    assert left_out.startswith(f"folder:{photos}: not looked at: 9 (0.HEIC (HEIC), 0.avif (AVIF), ")
    assert left_out.endswith(", ...)")
    assert "though they seem to be images: 8 in all, such as 0.HEIC (HEIC)." in caution


def test_only_images_need_no_remark_and_other_files_no_caution(tmp_path):
    save(tmp_path / "a.png")
    assert image_files.remarks([f"folder:{tmp_path}", "mnist", "noise"], "error") == []
    (tmp_path / "b\nc.txt").write_text("words")
    told = [rf"folder:{tmp_path}: not looked at: 1 (b\nc.txt)"]
    assert image_files.remarks([f"folder:{tmp_path}"], "error") == told


def test_many_other_files_are_counted_and_the_first_listed():
    others = [(f"{number}.txt", "", False) for number in range(3000)] + [("x", "PNG", True)]
    record = folders.record_of_others(others)["not_looked_at"]
    assert (record["num_files"], record["num_images"], len(record["files"])) == (3001, 1, 100)
    assert record["files"][:2] == [["x", "PNG"], ["0.txt", ""]]


def test_files_that_cannot_be_read_are_told_before_work(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"x")
    (told,) = image_files.remarks([f"folder:{tmp_path}"], "skip")
    assert told.endswith(": left out, as they cannot be read: 1 (b.png (it is no image of "
                         "PNG, JPEG, GIF, WEBP, BMP, TIFF, PPM))")  # fmt: skip
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        image_files.remarks([f"folder:{tmp_path}"], "error")


def test_no_pipe_or_socket_is_ever_opened(tmp_path, monkeypatch):
    """Opening a pipe waits for whoever writes into it, and no signal ends that."""
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)  # the paths of sockets must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("c.png")
        opened = image_files.open_folder(str(tmp_path))
    assert [os.path.basename(path) for path in opened.paths] == ["a.png"] and not opened.skipped
    assert sorted(map(tuple, opened.record["not_looked_at"]["files"])) == [
        ("b.png", "a named pipe"),
        ("c.png", "a socket"),
        ("gone", ""),
        ("link.jpg", "a named pipe"),
        ("pipe", "a named pipe"),
    ]
    assert folders.kind_of_mode(os.stat("/dev/null").st_mode) == "a device"
    os.remove(tmp_path / "a.png")
    with pytest.raises(DataError, match="none of the folder's files is a regular file"):
        image_files.open_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"GIF89a", "GIF"),
        (b"RIFF\1\0\0\0WEBPVP8 ", "WebP"),
        (b"RIFF\1\0\0\0WAVEfmt ", ""),
        (b"II*\0\x08\0\0\0", "TIFF, or a camera's raw file"),
        (b"BM\1\2\3\4\0\0\0\0\x36\0\0\0\x28\0\0\0", "BMP"),
        (b"BMW and other cars are no image", ""),
        (b"P6\n# words\n2 2\n255\n", "PBM, PGM, PPM or PAM"),
        (b"Page 6", ""),
        (ftyp(b"avis"), "AVIF"),
        (ftyp(b"heix"), "HEIC"),
        (ftyp(b"mp42"), ""),
        (b"\xff\x0a\1", "JPEG XL"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"", ""),
    ],
    ids=range(16),
)
def test_images_are_known_by_their_first_bytes(head, kind, tmp_path):
    (tmp_path / "a").write_bytes(head)
    assert folders.image_kind(str(tmp_path / "a")) == kind


def test_names_that_are_not_utf_8_are_used_and_shown_escaped(tmp_path):
    folder = tmp_path / "cats"
    folder.mkdir()
    save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", folder / ODD)
    (folder / os.fsdecode(b"\xff.txt")).write_text("words")
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"x")
    opened = image_files.open_folder(str(tmp_path), "skip")
    assert opened.paths == (str(folder / ODD),)
    assert image_files.decode(opened.paths[0]).shape == (4, 4, 1)
    assert image_files.version(opened.paths, str(tmp_path)) != image_files.version(
        [str(folder / os.fsdecode(b"\xfe.png"))], str(tmp_path)
    )
    assert opened.skipped[0][0] == r"cats/\xfe.png"
    assert opened.record["not_looked_at"]["files"] == [[r"cats/\xff.txt", ""]]
    "\n".join(image_files.remarks([f"folder:{tmp_path}"], "skip")).encode()
    with pytest.raises(DataError, match=r"cats/\\xfe\.png: cannot be read"):
        image_files.open_folder(str(tmp_path))


def test_versions_of_ordinary_names_are_what_they_were(tmp_path):
    """Otherwise every work directory would say that its images have changed."""
    (tmp_path / "ü.png").write_bytes(b"x")
    assert image_files.version([str(tmp_path / "ü.png")], str(tmp_path)) == "a095301122bf0a0d"


def sixteen_bit(folder, values):
    for number, one in enumerate(values):
        Image.fromarray(np.full((2, 2), one, np.uint16)).save(folder / f"{number}.png")
    return image_files.open_folder(str(folder)).record


@pytest.mark.parametrize(
    ("values", "levels"), [((0, 4095), 17), ((100, 16_000), 63), ((32_768, 36_863), 17)]
)
def test_few_levels_of_sixteen_bits_are_a_caution_with_the_range(tmp_path, values, levels):
    save(tmp_path / "eight.png")
    record = sixteen_bit(tmp_path, values)
    assert record == {"sixteen_bit": {"num_files": 2, "low": values[0], "high": values[1]}}
    (caution,) = folders.cautions("scans", record)
    assert caution.startswith(
        "Caution: the values of the 16-bit images of scans (2 in all) mostly go from "
        f"{values[0]:,} to {values[1]:,}, where white is 65,535: they use about {levels} of the "
        "256 levels"
    )


@pytest.mark.parametrize("values", [(0, 30_000), (*range(0, 4095, 512), 65_000, 65_535)])
def test_sixteen_bits_that_are_used_are_none(tmp_path, values):
    assert sixteen_bit(tmp_path, values) == {}


def test_one_file_in_ten_does_not_hide_what_the_others_are(tmp_path):
    """Such as a scan of 12 bits with a mark in white on it."""
    record = sixteen_bit(tmp_path, [*range(0, 4095, 455), 65_535])
    assert record == {"sixteen_bit": {"num_files": 10, "low": 455, "high": 3640}}


def test_a_folder_of_other_files_alone_says_so(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"holds none, but other files \(1\), such as a\.heic\."):
        specs.parse(f"folder:{tmp_path}", "data.in_distribution")
    (tmp_path / "b").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(ConfigError, match=r"but other files \(2\), such as b, which is DICOM\."):
        specs.parse(f"folder:{tmp_path}", "data.in_distribution")
