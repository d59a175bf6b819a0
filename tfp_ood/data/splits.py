"""What a name and a role in an experiment stand for: a `Split`."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import paths
from tfp_ood.config import DataConfig
from tfp_ood.data import division, duplicates, folders, image_files, prepare, shaping, synthetic
from tfp_ood.data.specs import (
    REDUCTIONS,
    ArraySource,
    ChangedSource,
    DatasetSpec,
    FolderSource,
    Shape,
    SyntheticSpec,
    out_split,
    parse,
)
from tfp_ood.errors import DataError, first_line

ROLES = ("train", "validation", "test", "out")
"""`out` is the role of every set other than the one that the model is trained on."""

_PARSED_TOGETHER, _BUFFER = 500, 2**18  # images, bytes of a file

Decode = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Split:
    """Some images of one data set in a fixed order, all of one shape."""

    name: str
    """As in the config."""
    split: str
    """For tables: `train`, `validation`, `test`, or `all`."""
    num_images: int
    native_shape: Shape
    preprocessing: dict[str, Any]
    """What is done to the images, for people and JSON."""
    image_shape: tuple[int, int, int]
    records: Callable[[], tf.data.Dataset] = dataclasses.field(repr=False)
    """A data set of cheap records (encoded image, path or index) and their labels, int64 [], in
    the fixed order."""
    decode: Decode = dataclasses.field(repr=False)
    """Maps a record, without its label, to an image, uint8 `image_shape`."""
    version: str = ""
    """Tells whether a person's own files have changed; "" for other sets, which do not change."""
    decode_batch: Decode | None = dataclasses.field(default=None, repr=False)
    """`decode` of several records at once, where that takes less time."""
    num_different: int = 0
    """Without exact copies, which are looked for in a person's own files; 0 elsewhere."""
    source: Callable[[int], str] | None = dataclasses.field(default=None, repr=False)
    """Where an image of a person's own files is from, by its number here: the path of a file below
    its folder, the number in an array."""


def open_split(name: str, role: str, data: DataConfig, data_dir: str | None) -> Split:
    """The images that play `role` in an experiment; checks all that can be checked before work.

    TFDS sets: `train` is the training split without its last `data.num_validation` images,
    `validation` those, `test` and `out` the test split (`data.num_test` images of it if that is
    not 0: one fixed random choice, in the order of the split).
    Folders, arrays and computed sets have no splits. As `out` all images are taken (again at most
    `num_test`). As the set to train on they are divided, by one fixed shuffle: a tenth (at
    least 1) for `test`; `num_validation`, but at most a tenth, or of small sets 40 and at most a
    quarter (at least 1), for `validation`; the rest for `train`.

    Args:
      name: as in the config.
      role: one of `ROLES`.
      data: says which shape is wanted and which changes are allowed.
      data_dir: where TFDS keeps its data sets; None for its own default.

    Raises:
      ConfigError: the name does not stand for a set.
      DataError: the set is not there, cannot be read, or cannot be brought to the model's shape.
    """
    if role not in ROLES:
        raise ValueError(f"role: got {role!r}; valid is one of {', '.join(ROLES)}")
    key = "data.out_of_distribution" if role == "out" else "data.in_distribution"
    source = parse(name, key)
    return _OPEN[type(source)](source, role, data, data_dir)


def _open_tfds(spec: DatasetSpec, role: str, data: DataConfig, data_dir: str | None) -> Split:
    plan = shaping.plan(spec.name, spec.native_shape, spec.native_shape[:2], data)
    builder = _builder(spec, data_dir)
    split, start, stop = _tfds_range(spec, builder, role, data)
    chosen = _judged(role, stop - start, data)

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        image = builder.info.features[spec.image_key].decode_example(encoded)
        image = tf.ensure_shape(image, spec.native_shape)
        return plan.apply(tf.transpose(image, [1, 0, 2]) if spec.transposed else image)

    return Split(
        spec.name,
        out_split(spec) if role == "out" else role,
        len(chosen),
        spec.native_shape,
        {**plan.record(), "transposed": spec.transposed, **_choice(chosen, stop - start)},
        data.image_shape,
        functools.partial(_tfds_records, spec, builder, f"{split}[{start}:{stop}]", chosen),
        decode,
    )


def _builder(spec: DatasetSpec, data_dir: str | None) -> Any:
    """The TFDS builder of a set that is there.

    Raises:
      DataError: it is not, or is damaged or in files of another format.
    """
    where = prepare.set_folder(spec, data_dir)
    if not prepare.is_prepared(spec, data_dir):
        raise DataError(
            f"{spec.name}: not prepared yet, there is no TFDS data set in {where}; "
            "run --mode=prepare with the same --data_dir."
        )
    prepare.check_format(spec, data_dir)
    prepare.check_counts(spec, data_dir)
    import tensorflow_datasets as tfds  # slow to import: only for sets that need it

    mend = "move it away and run --mode=prepare, which makes it again."
    try:
        root = paths.for_tensorflow(prepare.data_root(data_dir))
        builder = tfds.builder(spec.tfds_name, data_dir=root)
        files = [str(path) for split in builder.info.splits.values() for path in split.filepaths]
    # Damaged files make TFDS, protobuf and TensorFlow raise whatever they please.
    except Exception as error:
        reason = first_line(error)
        raise DataError(f"{spec.name}: {where} is damaged ({reason}); {mend}") from error
    absent = [os.path.basename(path) for path in files if not os.path.isfile(path)]
    if absent:
        raise DataError(f"{spec.name}: {where} is not complete, {absent[0]} is missing; {mend}")
    return builder


def _tfds_range(
    spec: DatasetSpec, builder: Any, role: str, data: DataConfig
) -> tuple[str, int, int]:
    """TFDS split, first image and end of a role."""
    if role in ("test", "out"):
        num_images = builder.info.splits[spec.test_split].num_examples
        return spec.test_split, 0, num_images
    num_images = builder.info.splits[spec.train_split].num_examples
    end = num_images - data.num_validation
    if end < 1:
        raise DataError(
            f"{spec.name}: {num_images} training images are too few to hold out "
            f"{data.num_validation} for validation; lower --config.data.num_validation."
        )
    return (spec.train_split, 0, end) if role == "train" else (spec.train_split, end, num_images)


def _judged(role: str, num_images: int, data: DataConfig) -> np.ndarray:
    """Which of the images that have a role are read: all, or those to judge."""
    is_judged = role in ("test", "out")
    return division.judged(num_images, data) if is_judged else np.arange(num_images)


def _choice(chosen: np.ndarray, num_images: int) -> dict[str, Any]:
    """What a table's metadata say of a choice: nothing where there is none."""
    return {"chosen_at_random_of": num_images} if len(chosen) < num_images else {}


def _tfds_records(
    spec: DatasetSpec, builder: Any, instruction: str, chosen: np.ndarray
) -> tf.data.Dataset:
    """(encoded image, label) of some of a TFDS split's images, in the order of its files.

    As TFDS reads them, but many at once: one after the other takes it six times as long.
    """
    info = builder.info.splits[instruction]
    keys = [key for key in (spec.image_key, spec.label_key) if key]
    features = {key: builder.info.features.tf_example_spec[key] for key in keys}
    is_chosen = np.zeros(info.num_examples, bool)
    is_chosen[chosen] = True

    def parts(index: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_example(serialized[tf.gather(is_chosen, index)], features)
        images = found[spec.image_key]
        unknown = tf.fill(tf.shape(images), np.int64(image_files.NO_LABEL))
        return images, tf.cast(found.get(spec.label_key, unknown), tf.int64)

    def of_file(name: tf.Tensor, skip: tf.Tensor, take: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(name, buffer_size=_BUFFER).skip(skip).take(take)

    files = [(one.filename, one.skip, one.take) for one in info.file_instructions]
    columns = tuple(map(np.array, zip(*files, strict=True)))
    serialized = tf.data.Dataset.from_tensor_slices(columns).flat_map(of_file)
    some = serialized.enumerate().batch(_PARSED_TOGETHER).map(parts).unbatch()
    return some.apply(tf.data.experimental.assert_cardinality(len(chosen)))


def _open_folder(source: FolderSource, role: str, data: DataConfig, _: str | None) -> Split:
    folder = image_files.open_folder(source.path, data.unreadable)
    plan = shaping.plan(source.name, folder.native_shape, folder.largest, data)
    # As bytes, which is what paths are: TensorFlow takes texts that are UTF-8 only.
    files = np.array([os.fsencode(path) for path in folder.paths])
    labels = np.array(folder.labels, np.int64)

    def decode(path: tf.Tensor) -> tf.Tensor:
        image = _called(lambda p: image_files.decode(os.fsdecode(p)), path)
        return plan.apply(tf.ensure_shape(image, folder.native_shape))

    def told(item: int) -> str:
        return folders.shown(os.path.relpath(folder.paths[item], source.path))

    groups = duplicates.groups(folder.prints)
    split = _of_items(source, role, data, plan, files, labels, decode, folder.version, groups, told)
    split.preprocessing.update(folder.record)
    return split


def _open_array(source: ArraySource, role: str, data: DataConfig, _: str | None) -> Split:
    array = np.load(source.path, mmap_mode="r", allow_pickle=False)
    array = array[..., np.newaxis] if array.ndim == 3 else array
    shape = array.shape[1:]
    plan = shaping.plan(source.name, shape, shape[:2], data)

    def read(index: tf.Tensor) -> tf.Tensor:
        images = _called(lambda i: np.array(array[i]), index)
        return tf.ensure_shape(images, [*index.shape, *shape])

    def decode(index: tf.Tensor) -> tf.Tensor:
        return plan.apply(read(index))

    version = image_files.version([source.path], os.path.dirname(source.path))
    groups = duplicates.groups(image_files.array_prints(source.path))
    items = _unlabelled(len(array))
    split = _of_items(source, role, data, plan, *items, decode, version, groups, str)
    split.preprocessing.update(image_files.array_record(source.path))
    return dataclasses.replace(split, decode_batch=None if plan.changes else read)


def _called(function: Callable[[Any], np.ndarray], record: tf.Tensor) -> tf.Tensor:
    """The image, uint8, that a Python function makes of a record and of nothing else."""
    # Of what may have a state, deterministic tf.data calls one at a time.
    return tf.numpy_function(function, [record], tf.uint8, stateful=False)


def _open_synthetic(source: SyntheticSpec, role: str, data: DataConfig, _: str | None) -> Split:
    shape = data.image_shape
    plan = shaping.plan(source.name, shape, shape[:2], data)
    image = synthetic.IMAGES[source.name]
    items = _unlabelled(source.num_images)
    return _of_items(source, role, data, plan, *items, lambda index: image(index, shape))


def _open_changed(source: ChangedSource, _: str, data: DataConfig, data_dir: str | None) -> Split:
    """The in-distribution test images, in the model's shape, each changed."""
    in_split = open_split(data.in_distribution, "test", data, data_dir)

    def decode(record: tf.Tensor) -> tf.Tensor:
        return synthetic.changed_image(in_split.decode(record), source.kind, source.strength)

    is_reduction = source.kind in REDUCTIONS
    key, strength = ("reduction", "factor") if is_reduction else ("corruption", "strength")
    record = {key: {"of": in_split.name, "kind": source.kind, strength: source.strength}}
    preprocessing = {**in_split.preprocessing, **record}
    return dataclasses.replace(
        in_split,
        name=source.name,
        preprocessing=preprocessing,
        decode=decode,
        decode_batch=None,
    )


_OPEN = {
    DatasetSpec: _open_tfds,
    FolderSource: _open_folder,
    ArraySource: _open_array,
    SyntheticSpec: _open_synthetic,
    ChangedSource: _open_changed,
}


def _unlabelled(num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Items and labels of images that are known by their number."""
    return np.arange(num_images), np.full(num_images, image_files.NO_LABEL)


def _of_items(
    source: FolderSource | ArraySource | SyntheticSpec,
    role: str,
    data: DataConfig,
    plan: shaping.Plan,
    items: np.ndarray,
    labels: np.ndarray,
    decode: Decode,
    version: str = "",
    groups: np.ndarray | None = None,
    told: Callable[[int], str] | None = None,
) -> Split:
    """Some images of a set without splits: `items` are the records of all, `labels` theirs; groups
    of copies, if any, are as `duplicates.groups` gives them; `told` says where an item is from."""
    playing = division.playing(source.name, len(items), role, data, groups)
    chosen = playing[_judged(role, len(playing), data)]
    if version and role != "out":
        version += division.mark(len(items), data, groups)
    return Split(
        source.name,
        out_split(source) if role == "out" else role,
        len(chosen),
        plan.native_shape,
        {**plan.record(), "transposed": False, **_choice(chosen, len(playing))},
        plan.image_shape,
        lambda: tf.data.Dataset.from_tensor_slices((items[chosen], labels[chosen])),
        decode,
        version,
        num_different=0 if groups is None else len(np.unique(groups[chosen])),
        source=told and (lambda index: told(int(chosen[index]))),
    )
