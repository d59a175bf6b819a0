import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfp_ood.config import DataConfig
from tfp_ood.data import image_files
from tfp_ood.data.pipeline import load, open_split
from tfp_ood.errors import DataError


def _decoded(image, path, **kwargs):
    image.save(path, **kwargs)
    return image_files.decode(str(path))


def test_gray_and_rgb_are_read_bit_by_bit(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    np.testing.assert_array_equal(_decoded(Image.fromarray(values), tmp_path / "a.png"), values)
    gray = values[..., 0]
    np.testing.assert_array_equal(
        _decoded(Image.fromarray(gray), tmp_path / "b.png"), gray[..., None]
    )


def test_transparency_is_laid_on_black(tmp_path):
    image = Image.new("RGBA", (2, 1), (200, 100, 50, 0))
    image.putpixel((1, 0), (200, 100, 50, 255))
    assert _decoded(image, tmp_path / "a.png").tolist() == [[[0, 0, 0], [200, 100, 50]]]
    gray = Image.new("LA", (2, 1), (200, 0))
    gray.putpixel((1, 0), (200, 255))
    assert _decoded(gray, tmp_path / "b.png").tolist() == [[[0], [200]]]


def test_palettes_become_rgb(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert _decoded(image, tmp_path / "a.png").tolist() == [[[1, 2, 3], [40, 50, 60]]]
    result = _decoded(image, tmp_path / "b.png", transparency=0)
    assert result.tolist() == [[[0, 0, 0], [40, 50, 60]]]


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert _decoded(Image.fromarray(values), tmp_path / "a.png").ravel().tolist() == [
        0,
        1,
        128,
        255,
    ]


def test_one_bit_becomes_black_and_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert _decoded(image, tmp_path / "a.png").tolist() == [[[0], [255]]]


def test_cmyk_and_gray_jpeg(tmp_path):
    # Half cyan, no black: R is about half, G and B full.
    result = _decoded(Image.new("CMYK", (8, 8), (128, 0, 0, 0)), tmp_path / "a.jpg")
    assert result.shape == (8, 8, 3)
    np.testing.assert_allclose(result[4, 4], [127, 255, 255], atol=3)
    assert _decoded(Image.new("L", (8, 8), 77), tmp_path / "b.jpg").shape == (8, 8, 1)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the image rotated by 90 degrees clockwise
    image = Image.new("RGB", (32, 16))
    image.paste((255, 255, 255), (0, 0, 8, 16))  # white at the left is to be white at the top
    result = _decoded(image, tmp_path / "a.jpg", exif=exif)
    assert result.shape == (32, 16, 3)
    assert result[2].min() > 200 and result[-8:].max() < 50


def _folder(tmp_path):
    """Two classes; sizes, channels and formats differ."""
    rng = np.random.default_rng(0)
    for i, (name, shape) in enumerate(
        [("dog/a.png", (9, 7)), ("dog/b.jpg", (12, 5, 3)), ("cat/z.png", (6, 6, 3))]
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(i, 256, shape, np.uint8)).save(path)


def test_a_folder_of_odd_images_becomes_one_array(tmp_path):
    _folder(tmp_path)
    data = DataConfig(image_shape=(6, 6, 3), size_change="crop", channel_change="convert")
    split = open_split(f"folder:{tmp_path}", "out", data, None)
    assert (split.num_images, split.split, split.native_shape) == (3, "all", (None, None, None))
    assert split.preprocessing["size_change"] == "crop varying -> 6x6"
    assert split.preprocessing["channel_change"] == "varying -> RGB"
    images, labels = load(split)
    assert labels.tolist() == [0, 1, 1]  # cat, dog, dog
    np.testing.assert_array_equal(images[0], image_files.decode(str(tmp_path / "cat" / "z.png")))
    assert (images[1, ..., 0] == images[1, ..., 2]).all()


def test_a_name_that_is_not_utf_8_goes_all_the_way(tmp_path):
    """And what is left out is told with the scores, in texts that are UTF-8."""
    Image.new("L", (4, 4), 5).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / os.fsdecode(b"caf\xe9.png"))
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("words")
    Image.new("L", (4, 4), 9).save(tmp_path / "b.png")
    data = DataConfig(image_shape=(4, 4, 1))
    split = open_split(f"folder:{tmp_path}", "out", data, None)
    images, _ = load(split)
    assert images[:, 0, 0, 0].tolist() == [9, 5]  # in the order of the names
    others = {"num_files": 1, "num_images": 0, "files": [[r"\xff.txt", ""]]}
    assert split.preprocessing["not_looked_at"] == others
    json.dumps(split.preprocessing, ensure_ascii=False).encode()


def test_a_flat_folder_has_no_labels(tmp_path):
    Image.new("L", (4, 4), 5).save(tmp_path / "a.png")
    split = open_split(f"folder:{tmp_path}", "out", DataConfig(image_shape=(4, 4, 1)), None)
    images, labels = load(split)
    assert split.native_shape == (4, 4, 1)
    assert labels.tolist() == [-1] and (images == 5).all()


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 3), color) for color in ((10, 20, 30), (200, 0, 0))]
    for name in ("a.png", "a.gif", "a.webp", "a.tiff"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        image = image_files.decode(str(tmp_path / name))
        assert image.shape == (3, 4, 3) and image[0, 0].tolist() == [10, 20, 30], name


def _bomb(path, width=60_000, height=60_000):
    """A tiny file whose header tells a huge image."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("sizes", [(60_000, 60_000), (10_001, 10_000)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, sizes):
    _bomb(tmp_path / "a.png", *sizes)
    with pytest.raises(DataError, match=r"a\.png: cannot be read .*pixels"):
        image_files.decode(str(tmp_path / "a.png"))


def test_content_is_decoded_as_files_are(tmp_path):
    image = Image.new("LA", (3, 2), (200, 100))
    pixels = _decoded(image, tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(image_files.decode_content(content), pixels)
    with pytest.raises(DataError, match=r"it is no image of PNG, JPEG, GIF, WEBP, BMP, TIFF, PPM$"):
        image_files.decode_content(b"x")
    with pytest.raises(DataError, match="runcated"):
        image_files.decode_content(content[:50])
    _bomb(tmp_path / "b.png")
    with pytest.raises(DataError, match="pixels"):
        image_files.decode_content((tmp_path / "b.png").read_bytes())


def test_floating_point_images_are_refused(tmp_path):
    Image.fromarray(np.ones([3, 3], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match="floating-point"):
        image_files.decode(str(tmp_path / "a.tiff"))


def test_what_cannot_be_read_is_left_out_and_listed_if_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"good{number}.jpg")
    content = (tmp_path / "good0.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[:300])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "words.gif").write_text("not an image")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    _bomb(tmp_path / "bomb.png")
    data = DataConfig(image_shape=(40, 40, 3), unreadable="skip")
    split = open_split(f"folder:{tmp_path}", "out", data, None)
    assert split.num_images == 4 and load(split)[0].shape == (4, 40, 40, 3)
    skipped = dict(split.preprocessing["skipped"])
    assert sorted(skipped) == ["bomb.png", "cut.jpg", "empty.png", "gone.png", "words.gif"]
    assert "pixels" in skipped["bomb.png"] and "runcated" in skipped["cut.jpg"]
    assert not any(str(tmp_path) in reason for reason in skipped.values())
    with pytest.raises(DataError, match=r"bomb\.png and 4 other files: .*unreadable=skip"):
        open_split(f"folder:{tmp_path}", "out", DataConfig(image_shape=(40, 40, 3)), None)


def test_a_folder_of_nothing_that_can_be_read_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    data = DataConfig(image_shape=(4, 4, 3), unreadable="skip")
    with pytest.raises(DataError, match="none of the folder's files"):
        open_split(f"folder:{tmp_path}", "out", data, None)


@pytest.mark.parametrize("keep", [0.5, 0.0])
def test_an_unreadable_file_is_named_before_work(tmp_path, keep):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "good.jpg")
    content = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "bad.jpg").write_bytes(content[: int(len(content) * keep)])
    why = r"\(.+\); .*" if keep else r"\(it is empty\); .*"
    with pytest.raises(DataError, match=rf"bad\.jpg: cannot be read {why}unreadable=skip"):
        open_split(f"folder:{tmp_path}", "out", DataConfig(image_shape=(40, 40, 3)), None)


def test_a_changed_file_is_looked_at_again(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert image_files.open_folder(str(tmp_path)).native_shape == (4, 4, 1)
    Image.new("L", (50, 60)).save(tmp_path / "a.png")
    assert image_files.open_folder(str(tmp_path)).native_shape == (60, 50, 1)


def test_too_large_for_padding_is_refused_before_work(tmp_path):
    _folder(tmp_path)
    data = DataConfig(image_shape=(10, 10, 3), size_change="pad", channel_change="convert")
    with pytest.raises(DataError, match=r"up to 12x7 cannot be padded to the model's 10x10"):
        open_split(f"folder:{tmp_path}", "out", data, None)
