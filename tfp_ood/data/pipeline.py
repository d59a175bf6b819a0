"""One path from any data set to uint8 batches of the model's shape, for training and scoring."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfp_ood import devices
from tfp_ood.config import DataConfig
from tfp_ood.data import division, image_files
from tfp_ood.data.splits import ROLES as ROLES
from tfp_ood.data.splits import Split as Split
from tfp_ood.data.splits import open_split as open_split
from tfp_ood.data.untuned import untuned

_SHUFFLE_BUFFER = 20_000
_READ_BATCH = 500
_DECODED_AT_ONCE = 2
"""Images of each batch, as large as they come; as many batches as there are cores are decoded
beside each other."""
_LAST_PASS = 2**62


@dataclasses.dataclass(frozen=True)
class Shard:
    """The part of every batch that one of several processes reads; by default all of it."""

    index: int = 0
    count: int = 1
    """Processes that read."""
    num_replicas: int = 1
    """Devices, over all processes, that share a batch: a multiple of `count`."""


_WHOLE = Shard()


def open_sets(
    data: DataConfig, data_dir: str | None, own_num_test: int | None = None
) -> list[Split]:
    """The sets that are judged: the in-distribution test split, then every foreign set.

    Of a folder or an array the record says how many of its images are own ones too.

    Args:
      data: names them; see `open_split`.
      data_dir: of TFDS.
      own_num_test: `data.num_test` of the in-distribution images, if it is another one.

    Raises:
      ConfigError: a name does not stand for a set.
      DataError: one is not there, or cannot be brought to the model's shape.
    """
    num_test = data.num_test if own_num_test is None else own_num_test
    of_own = dataclasses.replace(data, num_test=num_test)
    found = [open_split(data.in_distribution, "test", of_own, data_dir)]
    own = image_files.contents(data.in_distribution, data.unreadable)
    for name in data.out_of_distribution:
        split = open_split(name, "out", data, data_dir)
        split.preprocessing.update(image_files.record_of_shared(own, name, data.unreadable))
        found.append(split)
    return found


@dataclasses.dataclass(frozen=True)
class Held:
    """A split whose images are in memory, read once for all who train on them."""

    split: Split
    images: tf.Tensor
    """uint8 [N, H, W, C]."""
    labels: tf.Tensor
    """int64 [N]."""


def hold(split: Split, limit: float = 0.0) -> Split | Held:
    """Reads a split into memory if it fits, and says so by its type.

    Args:
      split: what to read.
      limit: GiB that this may take: uint8 images in the model's shape, twice, since TensorFlow
        copies what was read; 0 for a quarter of the machine's memory.
    """
    size = split.num_images * int(np.prod(split.image_shape))
    if 2 * size >= (limit * 2**30 or devices.memory_bytes() // 4):
        return split
    # Where tf.data works; else TensorFlow would put all of it on the first GPU.
    with tf.device("CPU:0"):
        return Held(split, *map(tf.convert_to_tensor, load(split)))


def training_stream(
    source: Split | Held, batch_size: int, seed: int, start_step: int = 0, shard: Shard = _WHOLE
) -> tf.data.Dataset:
    """An endless stream of shuffled batches.

    Every pass uses each image once, in an order that depends on `seed` and the number of the pass
    only; a batch may hold the end of one pass and the beginning of the next. The stream from
    `start_step` on is the tail of the stream from 0, so that a resumed training sees what it
    would have seen.

    Of images in memory each pass is a permutation of the whole set. Others are read from disk in
    every pass, through a shuffle buffer of 20,000 encoded images.

    Args:
      source: what to read, from disk or, if it is what `hold` made, from memory.
      batch_size: images per batch, over all replicas; a multiple of `shard.num_replicas`.
      seed: of the order.
      start_step: number of batches to leave out at the start.
      shard: which images of each batch to give. Those of all shards are the batch of one process.

    Returns:
      Data set of {"image": uint8 [B, H, W, C], "label": int64 [B]}, with a B that the graph knows,
      `batch_size / shard.num_replicas`: a batch for each replica of the shard in turn.
    """
    split = source.split if isinstance(source, Held) else source
    first_pass, offset = divmod(start_step * batch_size, split.num_images)
    passes = tf.data.Dataset.range(first_pass, _LAST_PASS)
    per_replica = batch_size // shard.num_replicas

    def stream(order: Callable[[tf.Tensor], tf.data.Dataset]) -> tf.data.Dataset:
        return passes.flat_map(order).skip(offset).shard(shard.count, shard.index)

    if isinstance(source, Held):

        def gather(indices: tf.Tensor) -> dict[str, tf.Tensor]:
            parts = {"image": source.images, "label": source.labels}
            return {name: tf.gather(part, indices) for name, part in parts.items()}

        order = functools.partial(_shuffled_indices, split.num_images, seed)
        batches = _parallel(stream(order).batch(per_replica, drop_remainder=True), gather)
    else:
        order = functools.partial(_shuffled_records, split.records(), seed)
        # Left-out records are skipped before they are decoded.
        batches = _decoded(split, stream(order), per_replica, of_one_size=True)
    if shard.num_replicas > 1:
        # It is, and who knows need not agree with other replicas at every step that all have more.
        batches = batches.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
    return untuned(batches.prefetch(tf.data.AUTOTUNE))


def _shuffled_indices(num_images: int, seed: int, number: tf.Tensor) -> tf.data.Dataset:
    """The order of pass `number`."""
    shuffled = tf.random.experimental.stateless_shuffle(
        tf.range(num_images), seed=tf.stack([tf.constant(seed, tf.int64), number]), alg="philox"
    )
    return tf.data.Dataset.from_tensor_slices(shuffled)


def _shuffled_records(records: tf.data.Dataset, seed: int, number: tf.Tensor) -> tf.data.Dataset:
    """The records in the order of pass `number`."""
    # Set inside this function's graph, so that the program's global seed has no influence;
    # 0 is no seed to TensorFlow.
    tf.random.set_seed(seed + 1)
    return records.shuffle(_SHUFFLE_BUFFER, seed=number, reshuffle_each_iteration=False)


def scoring_batches(split: Split, batch_size: int, shard: Shard = _WHOLE) -> tf.data.Dataset:
    """Every image once, in the split's fixed order, which does not depend on `batch_size`.

    Args:
      split: what to read.
      batch_size: images per batch.
      shard: of the images, each of which is in one shard only.

    Returns:
      Finite data set of {"index": int64 [B], "image": uint8 [B, H, W, C], "label": int64 [B]};
      the index counts the split's images from 0, and the last batch may be smaller.
    """

    @tf.autograph.experimental.do_not_convert
    def with_index(index: tf.Tensor, examples: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"index": index, **examples}

    # Shared out before they are decoded.
    records = split.records().shard(shard.count, shard.index)
    indices = tf.data.Dataset.range(shard.index, split.num_images, shard.count).batch(batch_size)
    batches = tf.data.Dataset.zip((indices, _decoded(split, records, batch_size))).map(with_index)
    return untuned(batches.prefetch(tf.data.AUTOTUNE))


def some_images(split: Split, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `num_images` images that are evenly spread over a split, classes of folders included.

    Returns:
      Indices in the split's fixed order, int64 [N], and images, uint8 [N, H, W, C].
    """
    indices = division.spread(split.num_images, num_images)
    return indices, at(split, indices)[1]


def at(split: Split, indices: Sequence[int]) -> tuple[list[str], np.ndarray]:
    """Some images of a split and what they are called.

    Args:
      split: what to read.
      indices: of N images, in the split's fixed order.

    Returns:
      N names, for people: as `Split.source`, or the number in a set; and the images, uint8
      [N, H, W, C].
    """
    wanted = tf.constant(sorted(indices), tf.int64)

    def is_wanted(index: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(index == wanted)

    def parts(index: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        return index, split.decode(example[0])

    some = split.records().enumerate().filter(is_wanted).map(parts)
    found = {int(index): image for index, image in untuned(some).as_numpy_iterator()}
    names = [(split.source or str)(int(i)) for i in indices]
    images = [found[i] for i in indices]
    return names, np.array(images, np.uint8).reshape(-1, *split.image_shape)


def load(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """All images, uint8 [N, H, W, C], and labels, int64 [N], of a split in its fixed order."""
    images = np.empty((split.num_images, *split.image_shape), np.uint8)
    labels = np.empty(split.num_images, np.int64)
    name = f"reading {split.name} {split.split}"
    with tqdm(total=split.num_images, desc=name, unit="image", delay=1) as progress:
        for batch in scoring_batches(split, _READ_BATCH).as_numpy_iterator():
            images[batch["index"]] = batch["image"]
            labels[batch["index"]] = batch["label"]
            progress.update(len(batch["index"]))
    return images, labels


def labels(split: Split) -> np.ndarray:
    """All labels of a split in its fixed order, int64 [N], without decoding any image."""
    batches = split.records().map(lambda record, label: label).batch(_READ_BATCH)
    return np.concatenate(list(untuned(batches).as_numpy_iterator()))


def _decoded(
    split: Split, records: tf.data.Dataset, batch_size: int, of_one_size: bool = False
) -> tf.data.Dataset:
    """Batches of records, decoded: a call for each batch takes half the time of one for each.

    Args:
      of_one_size: all batches, for endless records.
    """
    image = tf.TensorSpec(split.image_shape, tf.uint8)

    def each(some: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            split.decode, some, parallel_iterations=_DECODED_AT_ONCE, fn_output_signature=image
        )

    def examples(some: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": (split.decode_batch or each)(some), "label": labels}

    return _parallel(records.batch(batch_size, drop_remainder=of_one_size), examples)


def _parallel(elements: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    return elements.map(
        tf.autograph.experimental.do_not_convert(function),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
