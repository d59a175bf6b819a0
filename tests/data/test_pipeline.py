import dataclasses
import functools
import json
import re

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.data import tiny
from tfp_ood.config import ConfigError, DataConfig
from tfp_ood.data import division, pipeline, specs
from tfp_ood.data.pipeline import load, open_split, scoring_batches, training_stream
from tfp_ood.errors import DataError

DATA = DataConfig(num_validation=5)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    tiny.store_set("mnist", path)
    tiny.store_set("cifar10", path)
    return str(path)


@pytest.fixture(params=[0.0, 1e-9], ids=["memory", "disk"], name="hold")
def _hold(request):
    """Makes training images of a split: in memory, and as for sets that do not fit."""
    return functools.partial(pipeline.hold, limit=request.param)


def _identities(images):
    return [image.tobytes() for image in images]


def _labels_by_image(tfds_split):
    images, labels = tiny.arrays()[tfds_split]
    return dict(zip(_identities(images), labels, strict=True))


def _take(stream, num_batches):
    return list(stream.take(num_batches).as_numpy_iterator())


def _array(tmp_path, num_images=23, shape=(4, 3, 1)):
    """An array whose image i holds the value i everywhere."""
    values = np.arange(num_images, dtype=np.uint8).reshape(-1, 1, 1, 1)
    images = np.broadcast_to(values, (num_images, *shape))
    np.save(tmp_path / "a.npy", images)
    return f"array:{tmp_path / 'a.npy'}", DataConfig(image_shape=shape, num_validation=2)


def test_training_validation_and_test_share_no_image(data_dir):
    splits = {role: open_split("mnist", role, DATA, data_dir) for role in pipeline.ROLES[:3]}
    assert [s.num_images for s in splits.values()] == [15, 5, 7]
    assert [s.split for s in splits.values()] == ["train", "validation", "test"]
    images = _identities(np.concatenate([load(split)[0] for split in splits.values()]))
    original = tiny.arrays()
    expected = _identities(np.concatenate([original["train"][0], original["test"][0]]))
    assert sorted(images) == sorted(expected)


def test_validation_is_the_end_of_the_training_split(data_dir):
    whole = tfds.load("mnist", split="train", data_dir=data_dir)
    expected = [e["image"].tobytes() for e in tfds.as_numpy(whole)][-5:]
    assert _identities(load(open_split("mnist", "validation", DATA, data_dir))[0]) == expected


def test_images_in_shape_pass_bit_by_bit_with_their_labels(data_dir):
    images, labels = load(open_split("mnist", "out", DATA, data_dir))
    assert dict(zip(_identities(images), labels, strict=True)) == _labels_by_image("test")
    assert labels.dtype == np.int64


def test_num_test_takes_a_fixed_random_choice(data_dir):
    """Whoever asks, in the order of the set, with their labels."""
    everything = dict(zip(*_lists(open_split("mnist", "test", DATA, data_dir)), strict=True))
    for role in ("test", "out"):
        some = open_split("mnist", role, DataConfig(num_test=3), data_dir)
        images, labels = _lists(some)
        assert len(images) == some.num_images == 3
        assert [everything[image] for image in images] == labels
        places = [list(everything).index(image) for image in images]
        assert places == sorted(places) == [2, 3, 4]
        assert some.preprocessing["chosen_at_random_of"] == 7
        more = open_split("mnist", role, DataConfig(num_test=99), data_dir)
        assert more.num_images == 7 and "chosen_at_random_of" not in more.preprocessing


def _lists(split):
    images, labels = load(split)
    return _identities(images), labels.tolist()


def test_num_test_images_of_an_ordered_folder_are_of_all_its_classes(tmp_path):
    """Four classes of 30."""
    for number in range(120):
        path = tmp_path / f"class_{number // 30}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    data = DataConfig(image_shape=(8, 8, 1), num_test=30)
    _, labels = load(open_split(f"folder:{tmp_path}", "out", data, None))
    assert len(labels) == 30 and np.min(np.bincount(labels, minlength=4)) >= 3
    for role, total, num_test in (("out", 120, 30), ("test", 12, 5)):
        split = open_split(f"folder:{tmp_path}", role, DataConfig("", (), (8, 8, 1)), None)
        assert "chosen_at_random_of" not in split.preprocessing and split.num_images == total
        data = DataConfig(image_shape=(8, 8, 1), num_test=num_test)
        split = open_split(f"folder:{tmp_path}", role, data, None)
        assert split.preprocessing["chosen_at_random_of"] == total
        assert split.num_images == num_test


@pytest.mark.parametrize(
    ("num", "expected"), [(3, [0, 7, 15]), (10, [23 * n // 10 for n in range(10)])]
)
def test_some_images_are_spread_over_the_set(tmp_path, num, expected):
    name, data = _array(tmp_path)
    index, images = pipeline.some_images(open_split(name, "out", data, None), num)
    assert index.tolist() == expected == images[:, 0, 0, 0].tolist()
    assert index.dtype == np.int64 and images.dtype == np.uint8 and images.shape[1:] == (4, 3, 1)


def test_some_images_are_all_where_there_are_few(tmp_path):
    name, data = _array(tmp_path)
    index, images = pipeline.some_images(open_split(name, "out", data, None), 100)
    assert index.tolist() == list(range(23)) and len(images) == 23


def test_some_images_are_found_by_their_place_and_named(tmp_path, data_dir):
    """By file, or by number in an array, or in a set; whatever was chosen of them, in any order."""
    data = DataConfig(num_test=9, size_change="resize", channel_change="convert")
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
    np.save(tmp_path / "x.npy", images)
    for i, image in enumerate(images):
        path = tmp_path / "photos" / "ab"[i % 2]
        path.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image[..., 0]).save(path / f"{i:02d}.png")
    places = [8, 0, 3]
    split = open_split(f"array:{tmp_path / 'x.npy'}", "out", data, None)
    names, found = pipeline.at(split, places)
    np.testing.assert_array_equal(found, images[[int(name) for name in names]])
    np.testing.assert_array_equal(found, load(split)[0][places])
    split = open_split(f"folder:{tmp_path / 'photos'}", "out", data, None)
    names, found = pipeline.at(split, places)
    assert all(re.fullmatch(r"[ab]/\d\d\.png", name) for name in names)
    np.testing.assert_array_equal(found, images[[int(name[2:4]) for name in names]])
    split = open_split("mnist", "out", dataclasses.replace(data, num_test=0), data_dir)
    names, found = pipeline.at(split, [5])
    assert names == ["5"] and np.array_equal(found[0], load(split)[0][5])
    assert pipeline.at(split, [])[1].shape == (0, 28, 28, 1)


def test_both_sides_are_preprocessed_alike(data_dir):
    data = DataConfig(size_change="resize", channel_change="convert", num_validation=5)
    split = open_split("cifar10", "out", data, data_dir)
    assert split.native_shape == (32, 32, 3)
    assert json.loads(json.dumps(split.preprocessing)) == {
        "native_shape": [32, 32, 3],
        "image_shape": [28, 28, 1],
        "size_change": "resize 32x32 -> 28x28",
        "channel_change": "RGB -> gray",
        "transposed": False,
    }
    foreign, _ = load(split)
    own, _ = load(open_split("cifar10", "test", data, data_dir))
    np.testing.assert_array_equal(foreign, own)
    assert foreign.shape == (7, 28, 28, 1)


def test_a_mismatch_is_refused_before_the_data_are_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"cifar10: .*32x32 RGB.*28x28 gray.*size_change=resize"):
        open_split("cifar10", "out", DataConfig(), str(tmp_path))


def test_a_set_that_is_not_there_is_named_with_its_place(tmp_path):
    with pytest.raises(DataError, match=f"mnist: not prepared yet.*{tmp_path}/mnist/3.0.1"):
        open_split("mnist", "train", DATA, str(tmp_path))


def test_too_few_images_to_hold_out(data_dir):
    with pytest.raises(DataError, match=r"20 training images.*num_validation"):
        open_split("mnist", "train", DataConfig(num_validation=20), data_dir)


def test_wrong_names_and_roles(data_dir):
    with pytest.raises(ConfigError, match=r"config\.data\.out_of_distribution: got 'nist'"):
        open_split("nist", "out", DATA, data_dir)
    with pytest.raises(ConfigError, match=r"config\.data\.in_distribution: got 'nist'"):
        open_split("nist", "train", DATA, data_dir)
    with pytest.raises(ValueError, match="one of train, validation, test, out"):
        open_split("mnist", "all", DATA, data_dir)


def test_emnist_is_turned_upright(tmp_path):
    images, labels = tiny.arrays()["test"]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="emnist",
        config="letters",
        version="3.1.0",
        features=tfds.builder("emnist/letters", data_dir=str(tmp_path / "none")).info.features,
        split_datasets={
            s: tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
            for s in ("train", "test")
        },
        data_dir=str(tmp_path),
    )
    split = open_split("emnist_letters", "out", DATA, str(tmp_path))
    assert split.preprocessing["transposed"] is True
    upright = _identities(images.transpose(0, 2, 1, 3))
    assert sorted(_identities(load(split)[0])) == sorted(upright)


def test_a_set_without_labels_or_test_split(tmp_path):
    spec = specs.SPECS["downsampled_imagenet_32x32"]
    images = tiny.arrays(spec.native_shape)["test"][0]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="downsampled_imagenet",
        config="32x32",
        version="2.0.0",
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(encoding_format="png")}),
        split_datasets={
            s: tf.data.Dataset.from_tensor_slices({"image": images})
            for s in ("train", "validation")
        },
        data_dir=str(tmp_path),
    )
    data = DataConfig(image_shape=(32, 32, 3), num_validation=2)
    read, labels = load(open_split(spec.name, "test", data, str(tmp_path)))
    assert sorted(_identities(read)) == sorted(_identities(images))
    assert set(labels) == {-1}


def test_an_array_passes_bit_by_bit_in_its_order(tmp_path):
    rng = np.random.default_rng(0)
    for shape in ((5, 4, 6, 3), (5, 4, 6)):
        images = rng.integers(0, 256, shape, np.uint8)
        np.save(tmp_path / "a.npy", images)
        data = DataConfig(image_shape=(4, 6, 3 if len(shape) == 4 else 1))
        split = open_split(f"array:{tmp_path / 'a.npy'}", "out", data, None)
        read, labels = load(split)
        np.testing.assert_array_equal(read, images.reshape(read.shape))
        assert set(labels) == {-1} and split.split == "all"


def test_a_set_in_several_files_is_read_as_tfds_reads_it(tmp_path):
    tiny.store_set("mnist", tmp_path)
    (info,) = tmp_path.glob("mnist/*/dataset_info.json")
    told = json.loads(info.read_text())
    for split in told["splits"]:
        (whole,) = info.parent.glob(f"mnist-{split['name']}.tfrecord*")
        records = list(tf.data.TFRecordDataset(str(whole)).as_numpy_iterator())
        whole.unlink()
        for number, part in enumerate((records[:1], records[1:5], records[5:])):
            path = whole.with_name(f"mnist-{split['name']}.tfrecord-0000{number}-of-00003")
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in part:
                    writer.write(record)
        split["shardLengths"] = ["1", "4", str(len(records) - 5)]
    info.write_text(json.dumps(told))

    builder = tfds.builder(specs.SPECS["mnist"].tfds_name, data_dir=str(tmp_path))
    in_order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    data = dataclasses.replace(DATA, num_test=3)
    for role, name in (("train", "train"), ("validation", "train"), ("out", "test")):
        split = open_split("mnist", role, data, str(tmp_path))
        examples = builder.as_dataset(split=name, shuffle_files=False, read_config=in_order)
        images, labels = zip(*((one["image"], one["label"]) for one in examples), strict=True)
        start = len(images) - split.num_images if role == "validation" else 0
        chosen = range(start, start + split.num_images)
        if role == "out":
            chosen = division.judged(len(images), data)
        read, read_labels = load(split)
        np.testing.assert_array_equal(read, [images[i] for i in chosen])
        np.testing.assert_array_equal(read_labels, [labels[i] for i in chosen])


@pytest.mark.parametrize("change", ["none", "resize"])
def test_an_array_is_read_at_once_and_one_by_one_alike(change, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (7, 4, 6, 3), np.uint8))
    shape = (4, 6, 3) if change == "none" else (5, 5, 3)
    data = DataConfig(image_shape=shape, size_change="resize")
    split = open_split(f"array:{tmp_path / 'a.npy'}", "out", data, None)
    assert bool(split.decode_batch) == (change == "none")
    images = [split.decode(record) for record, _ in split.records()]
    for size in (1, 3, 7):
        batches = scoring_batches(split, size).as_numpy_iterator()
        np.testing.assert_array_equal(np.concatenate([b["image"] for b in batches]), images)


def test_a_set_without_splits_is_divided_once_and_for_all(tmp_path):
    name, data = _array(tmp_path, 40)
    parts = {r: load(open_split(name, r, data, None))[0][:, 0, 0, 0] for r in pipeline.ROLES}
    assert [len(parts[r]) for r in pipeline.ROLES] == [34, 2, 4, 40]
    assert sorted(np.concatenate([parts[r] for r in pipeline.ROLES[:3]])) == list(range(40))
    again = load(open_split(name, "train", data, None))[0][:, 0, 0, 0]
    np.testing.assert_array_equal(again, parts["train"])


def test_a_set_without_splits_can_be_too_small(tmp_path):
    name, data = _array(tmp_path, 2)
    with pytest.raises(DataError, match=r"2 images are too few to train on; at least 3"):
        open_split(name, "train", data, None)
    name, data = _array(tmp_path, 3)
    assert [open_split(name, r, data, None).num_images for r in pipeline.ROLES[:3]] == [1, 1, 1]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_every_image_is_scored_exactly_once_in_one_order(data_dir, batch_size):
    split = open_split("mnist", "test", DATA, data_dir)
    batches = list(scoring_batches(split, batch_size).as_numpy_iterator())
    assert [len(b["index"]) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)
    joined = {key: np.concatenate([b[key] for b in batches]) for key in ("index", "image", "label")}
    assert joined["index"].tolist() == list(range(7))
    images, labels = load(split)
    np.testing.assert_array_equal(joined["image"], images)
    np.testing.assert_array_equal(joined["label"], labels)


def test_no_stream_has_the_thread_that_tunes_it(data_dir, hold):
    """Whoever lets go of an iterator may wait until it wakes; see `untuned`."""
    split = open_split("mnist", "train", DATA, data_dir)
    for stream in (training_stream(hold(split), 4, 0), scoring_batches(split, 4)):
        assert not stream.options().autotune.enabled


def test_the_static_shapes(data_dir):
    """A training's batches are all of one size, which spares its graph operations on shapes."""

    def spec(size):
        image, label = tf.TensorSpec([size, 28, 28, 1], tf.uint8), tf.TensorSpec([size], tf.int64)
        return {"image": image, "label": label}

    split = open_split("mnist", "train", DATA, data_dir)
    for source in (split, pipeline.hold(split)):
        assert training_stream(source, 4, 0).element_spec == spec(4)
        shard = pipeline.Shard(1, 2, num_replicas=4)
        assert training_stream(source, 8, 0, 0, shard).element_spec == spec(2)
    scoring = scoring_batches(split, 4).element_spec
    assert scoring == {"index": tf.TensorSpec([None], tf.int64), **spec(None)}


def test_every_pass_uses_each_image_once_in_another_order(tmp_path, hold):
    name, data = _array(tmp_path)
    split = open_split(name, "train", data, None)
    whole = sorted(load(split)[0][:, 0, 0, 0])
    num = split.num_images
    batches = _take(training_stream(hold(split), 8, seed=3), num)  # 8 passes
    values = np.concatenate([b["image"][:, 0, 0, 0] for b in batches])
    passes = np.split(values, 8)
    assert all(len(b["image"]) == 8 for b in batches)
    assert all(sorted(p) == whole for p in passes)
    assert len({tuple(p) for p in passes}) == 8


def test_labels_stay_with_their_images(data_dir, hold):
    split = open_split("mnist", "train", DATA, data_dir)
    original = _labels_by_image("train")
    for batch in _take(training_stream(hold(split), 4, 0), 8):
        for image, label in zip(batch["image"], batch["label"], strict=True):
            assert original[image.tobytes()] == label


@pytest.mark.parametrize("start_step", [0, 1, 2, 3, 5, 11])
def test_a_resumed_stream_is_the_tail_of_the_whole(data_dir, hold, start_step):
    split = open_split("mnist", "train", DATA, data_dir)  # 15 images: passes end inside batches
    whole = _take(training_stream(hold(split), 4, seed=1), 16)[start_step:]
    tf.random.set_seed(start_step)  # of no influence
    tail = _take(training_stream(hold(split), 4, seed=1, start_step=start_step), 16 - start_step)
    for expected, batch in zip(whole, tail, strict=True):
        np.testing.assert_array_equal(batch["image"], expected["image"])
        np.testing.assert_array_equal(batch["label"], expected["label"])


def test_the_seed_decides_the_order(data_dir, hold):
    split = open_split("mnist", "train", DATA, data_dir)
    first, again, other = (
        np.concatenate(
            [batch["image"] for batch in _take(training_stream(hold(split), 5, seed), 3)]
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_batch_may_be_larger_than_the_set(tmp_path, hold):
    name, data = _array(tmp_path, 4)
    split = open_split(name, "train", data, None)
    assert split.num_images == 2
    for batch in _take(training_stream(hold(split), 6, 0), 3):
        assert sorted(batch["image"][:, 0, 0, 0]) == sorted([*load(split)[0][:, 0, 0, 0]] * 3)


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_images_are_decoded_beside_each_other_under_determinism(kind, tmp_path):
    """tf.data then maps one image at a time what may have a state, as Python may by default."""
    name, data = _array(tmp_path)
    if kind == "folder":
        PIL.Image.new("L", (3, 4)).save(tmp_path / "0.png")
        name = f"folder:{tmp_path}"
    split = open_split(name, "out", data, None)
    decode = tf.function(split.decode, autograph=False)
    graph = decode.get_concrete_function(split.records().element_spec[0]).graph
    assert "PyFuncStateless" in {op.type for op in graph.get_operations()}
    assert not [op.type for op in graph.get_operations() if op.op_def.is_stateful]


def test_a_set_is_read_into_memory_once_if_it_fits(data_dir):
    split = open_split("mnist", "train", DATA, data_dir)  # 15 images of 784 bytes: 1.1e-5 GiB
    assert pipeline.hold(split, 2e-5) is split  # while it is read it is there twice
    for limit in (0.0, 3e-5):
        with tf.device("CPU:1"):  # as by default on a machine with a GPU: not where tf.data works
            held = pipeline.hold(split, limit)
        assert {part.device[-5:] for part in (held.images, held.labels)} == {"CPU:0"}
        assert held.split is split and held.images.dtype == tf.uint8
        np.testing.assert_array_equal(held.images, load(split)[0])
    np.testing.assert_array_equal(pipeline.labels(split), held.labels)


def test_labels_decode_no_image_and_what_is_held_is_decoded_once(data_dir):
    """Decoding is what reading costs."""
    decoded = []

    def counted(record):
        seen = tf.numpy_function(lambda: decoded.append(0) or np.int64(0), [], tf.int64)
        with tf.control_dependencies([seen]):
            return split.decode(record)

    split = open_split("mnist", "train", DATA, data_dir)
    counting = dataclasses.replace(split, decode=counted)
    labels = pipeline.labels(counting)
    assert len(labels) == 15 and decoded == []
    held = pipeline.hold(counting)
    stream = training_stream(held, 5, seed=0)
    assert len(_take(stream, 9)) == 9 and len(decoded) == 15
    np.testing.assert_array_equal(held.labels, labels)


def test_what_is_watched_is_some_of_what_is_judged(tmp_path):
    """The same choice of `num_test` images, whether some of them or all are looked at."""
    name, data = _array(tmp_path)
    split = open_split(name, "out", dataclasses.replace(data, num_test=9), None)
    index, images = pipeline.some_images(split, 4)
    judged, _ = load(split)
    assert len(judged) == 9 and len(set(_identities(judged))) == 9
    np.testing.assert_array_equal(images, judged[index])


def damage(path):
    path.write_text("x")


@pytest.mark.parametrize(
    ("pattern", "harm", "said"),
    [
        ("*test*tfrecord*", lambda path: path.unlink(), "not complete, .*test.* is missing"),
        ("dataset_info.json", damage, "is damaged"),
        ("features.json", damage, "is damaged"),
    ],
)
def test_a_damaged_set_is_named(pattern, harm, said, tmp_path):
    tiny.store_set("mnist", tmp_path)
    (path,) = tmp_path.rglob(pattern)
    harm(path)
    with pytest.raises(DataError, match=f"mnist: .*{said}.*--mode=prepare"):
        open_split("mnist", "test", DATA, str(tmp_path))
