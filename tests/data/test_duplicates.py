"""Copies of images are seen, told, and on one side of the division of a set."""

import uuid

import numpy as np
import pytest
from PIL import Image

from tfp_ood.config import DataConfig
from tfp_ood.data import division, duplicates, image_files
from tfp_ood.data.pipeline import load, open_sets, open_split
from tfp_ood.errors import DataError

RNG = np.random.default_rng(0)
DIFFERENT = RNG.integers(0, 256, (20, 12, 10, 3), np.uint8)


def test_copies_have_one_print_and_others_do_not():
    prints = duplicates.prints_of(np.concatenate([DIFFERENT, DIFFERENT[::-1]]))
    assert duplicates.groups(prints).tolist() == [*range(20), *range(19, -1, -1)]
    assert len({one.content for one in prints}) == len({one.appearance for one in prints}) == 20
    # Of another size, with the same bytes.
    turned = duplicates.prints_of(DIFFERENT.reshape(20, 10, 12, 3))
    assert not {one.content for one in turned} & {one.content for one in prints}


def test_what_was_saved_again_looks_alike(tmp_path):
    """As JPEG: other pixels, the same appearance; which is a difference hash's."""
    smooth = np.cumsum(RNG.normal(size=(4, 64, 48)), axis=2)
    images = np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))
    saved = []
    for image in images:
        Image.fromarray(image).save(tmp_path / "a.jpg", quality=95)
        saved.append(image_files.decode(str(tmp_path / "a.jpg"))[..., 0])
    again = np.stack(saved)[..., np.newaxis]
    prints, others = map(duplicates.prints_of, (images[..., np.newaxis], again))
    assert not {one.content for one in prints} & {one.content for one in others}
    bits = [
        bin(a.appearance ^ b.appearance).count("1") for a, b in zip(prints, others, strict=True)
    ]
    assert 1 <= max(bits) <= 2  # so that equal hashes alone would not be all
    assert len({one.appearance for one in prints}) == 4
    assert duplicates.record([*prints, *others])["duplicates"]["num_alike"] == 8


def distant(number, *bits):
    """A print with its own content and the appearance of `number` with some bits changed."""
    appearance = number ^ sum(1 << int(bit) for bit in bits)
    return duplicates.Print(uuid.uuid4().bytes, appearance)


def test_appearances_that_differ_in_at_most_two_bits_are_alike():
    """As all pairs say, where many share bands and where few do."""
    rng = np.random.default_rng(1)
    bases = rng.integers(0, 2**64, 40, dtype=np.uint64).tolist()
    close = [distant(a, *rng.choice(64, k, replace=False)) for k, a in enumerate(bases[:4])]
    sparse = [distant(0, *rng.choice(64, 3, replace=False)) for _ in range(30)]
    sparse += [distant(2**64 - 1, *rng.choice(16, 4, replace=False)) for _ in range(30)]
    prints = [*map(distant, bases), *close, *sparse]
    values = [one.appearance for one in prints]
    distances = np.array([[bin(a ^ b).count("1") for b in values] for a in values])
    np.fill_diagonal(distances, 64)
    expected = (distances.min(axis=1) <= 2).sum()
    assert duplicates.record(prints)["duplicates"]["num_alike"] == expected
    assert 6 < expected < len(prints)
    # Flat but for a speck.
    assert duplicates.record([distant(0), distant(0, 5), distant(0, 5, 60)]) == {}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (7, 3, 1), (300, 17, 3)])
def test_images_of_any_size_have_prints(shape):
    images = RNG.integers(0, 256, (3, *shape), np.uint8)
    assert len({one.content for one in duplicates.prints_of(images)}) == 3
    assert all(0 <= one.appearance < 2**64 for one in duplicates.prints_of(images))


def test_the_record_counts_copies_and_those_alike():
    darker = DIFFERENT[:3] // 2
    prints = duplicates.prints_of(np.concatenate([DIFFERENT, DIFFERENT[:5], DIFFERENT[:2]]))
    expected = {"num_images": 27, "num_copies": 7, "num_alike": 0}
    assert duplicates.record(prints) == {"duplicates": expected}
    (said,) = duplicates.cautions("mine", duplicates.record(prints))
    assert said.endswith("copies stay on one side.")
    alike = duplicates.prints_of(np.concatenate([DIFFERENT, darker]))
    found = duplicates.record(alike)["duplicates"]
    assert found["num_images"] == 23 and found["num_copies"] == 0 and found["num_alike"] >= 4
    (said,) = duplicates.cautions("mine", duplicates.record(alike))
    assert f"{found['num_alike']} of the 23 images of mine look very much like another" in said
    assert "exact copies" not in said
    flat = duplicates.prints_of(np.stack([np.full((9, 9, 1), value, np.uint8) for value in (1, 7)]))
    assert duplicates.record(flat) == {}


def test_own_images_in_a_foreign_set_are_told_however_they_came_there(tmp_path):
    """Through a link inside of a folder, as copies, or as an array."""
    own, pool, foreign = (tmp_path / name for name in ("own", "pool", "foreign"))
    for folder, images in ((pool, DIFFERENT[:6]), (foreign / "some", DIFFERENT[6:9])):
        folder.mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{number}.png")
    own.mkdir()
    (own / "cat").symlink_to(pool)
    (foreign / "more").symlink_to(pool)
    np.save(tmp_path / "a.npy", DIFFERENT[4:8])
    names = (f"folder:{foreign}", f"array:{tmp_path / 'a.npy'}", "noise")
    shape = DIFFERENT.shape[1:]
    data = DataConfig(f"folder:{own}", out_of_distribution=names, image_shape=shape)
    found = [one.preprocessing.get("shared") for one in open_sets(data, None)]
    assert found == [
        None, {"num_images": 9, "num_own": 6}, {"num_images": 4, "num_own": 2}, None
    ]  # fmt: skip
    said = image_files.remarks([data.in_distribution, *names], "error")
    told = [line for line in said if "of the in-distribution set" in line]
    assert len(told) == 2 and "6 of the 9 images of" in told[0] and "2 of the 4" in told[1]


@pytest.mark.parametrize("copies", [1, 2, 3, 10])
@pytest.mark.parametrize("num_different", [4, 20, 333])
def test_all_copies_of_an_image_are_on_one_side(num_different, copies):
    groups = np.tile(np.arange(num_different), copies)
    data = DataConfig(num_validation=30)
    parts = [
        division.playing("mine", len(groups), role, data, groups)
        for role in ("train", "validation", "test")
    ]
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    train, validation, test = (set(groups[part]) for part in parts)
    assert train and validation and test
    assert not train & validation and not train & test and not validation & test
    assert abs(len(parts[2]) - len(groups) / 10) <= copies


@pytest.mark.parametrize("num_images", [400, 1_000, 10_000])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
@pytest.mark.parametrize("num_blank", [1, 3])
def test_one_image_many_times_leaves_no_part_empty_or_full_of_it(num_images, share, num_blank):
    """Blank pages, say, or a few different ones."""
    groups = np.arange(num_images)
    blank = np.random.default_rng(3).permutation(num_images)[: int(share * num_images)]
    for kind in range(num_blank):
        groups[blank[kind::num_blank]] = blank[kind::num_blank].min()
    data = DataConfig(num_validation=num_images // 20)
    parts = {
        role: division.playing("mine", num_images, role, data, groups)
        for role in ("train", "validation", "test")
    }
    assert sum(map(len, parts.values())) == num_images
    for role, wanted in (("test", num_images / 10), ("validation", num_images / 20)):
        assert 0.7 * wanted <= len(parts[role]) <= 1.3 * wanted
    kinds = {role: set(groups[part]) for role, part in parts.items()}
    assert not kinds["train"] & (kinds["test"] | kinds["validation"])
    assert not kinds["test"] & kinds["validation"]


def test_copies_are_held_out_as_often_as_other_images():
    held_out = {role: 0 for role in ("train", "validation", "test")}
    data = DataConfig(num_validation=100)
    for draw in range(200):
        groups = np.arange(1_000)
        copies = np.random.default_rng(draw).permutation(1_000)[:20]
        groups[copies] = copies.min()
        for role in held_out:
            chosen = division.playing("mine", 1_000, role, data, groups)
            held_out[role] += copies.min() in groups[chosen]
    assert sum(held_out.values()) == 200
    # 20 are expected in either, with a standard deviation of 4.
    assert 6 < held_out["test"] < 34 and 6 < held_out["validation"] < 34


@pytest.mark.parametrize("num_validation", [1, 2, 3])
def test_pairs_are_test_images_where_few_are_held_out_for_validation(num_validation):
    groups = np.arange(2_000)
    groups[1_800:] = groups[:200]
    data = DataConfig(num_validation=num_validation)
    test, validation = (
        division.playing("mine", 2_000, role, data, groups) for role in ("test", "validation")
    )
    assert 150 < len(test) < 250 and 1 <= len(validation) <= 4
    assert 5 < np.sum(groups[test] < 200) / 2 < 40  # of 200 pairs 20 are expected


@pytest.mark.parametrize("sizes", [(1, 1, 58), (58, 1, 1), (1, 1, 1, 57), (20, 20, 20)])
def test_three_different_images_are_one_for_each_part(sizes):
    groups = np.repeat(np.cumsum(sizes) - sizes, sizes)
    parts = [
        division.playing("mine", 60, role, DataConfig(), groups)
        for role in ("train", "validation", "test")
    ]
    assert all(map(len, parts)) and sum(map(len, parts)) == 60
    assert len(parts[0]) >= 20


def test_a_set_without_copies_is_divided_as_ever():
    data = DataConfig(num_validation=30)
    for role in ("train", "validation", "test"):
        expected = division.playing("mine", 99, role, data)
        np.testing.assert_array_equal(
            division.playing("mine", 99, role, data, np.arange(99)), expected
        )
    assert division.mark(500, data, np.arange(500)) == ""
    assert division.mark(500, data, np.zeros(500, np.int64)) == "-copies2"


def test_copies_of_one_image_are_no_set_to_train_on():
    for groups in (np.zeros(60, np.int64), np.arange(60) % 2):
        with pytest.raises(
            DataError, match=r"mine: its 60 images are copies of [12] different one"
        ):
            division.playing("mine", 60, "train", DataConfig(), groups)


@pytest.mark.parametrize("kind", ["folder", "array"])
def test_sixty_images_that_are_twenty_in_three_copies(kind, tmp_path):
    images = np.concatenate([DIFFERENT] * 3)
    if kind == "folder":
        path = tmp_path / "photos"
        path.mkdir()
        for number, image in enumerate(images):
            # Copies by their pixels, whatever the file.
            form = "png" if number < 40 else "bmp"
            Image.fromarray(image).save(path / f"{number}.{form}")
    else:
        path = tmp_path / "photos.npy"
        np.save(path, images)
    data = DataConfig(f"{kind}:{path}", image_shape=(12, 10, 3), num_validation=5)
    splits = [open_split(data.in_distribution, role, data, None) for role in ("train", "test")]
    train, test = ({image.tobytes() for image in load(split)[0]} for split in splits)
    assert train and test and not train & test
    found = splits[0].preprocessing["duplicates"]
    assert found["num_images"] == 60 and found["num_copies"] == 40
    assert splits[0].version.endswith("-copies2")
    (said,) = duplicates.cautions("photos", splits[0].preprocessing)
    assert "40 of the 60 images of photos are exact copies of others" in said
    (told,) = image_files.remarks([data.in_distribution, "mnist"], "error")
    assert told == said.replace("photos", data.in_distribution)
