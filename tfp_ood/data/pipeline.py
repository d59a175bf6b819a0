"""One path from any data set to uint8 batches of the model's shape, for training and scoring."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfp_ood.data.splits import ROLES, Split, open_sets, open_split

__all__ = [
    "ROLES",
    "Split",
    "load",
    "open_sets",
    "open_split",
    "scoring_batches",
    "some_images",
    "training_stream",
]

MEMORY_LIMIT = 2**30
"""Bytes; a set whose uint8 images in the model's shape take less is kept in memory in training."""

_SHUFFLE_BUFFER = 20_000
_READ_BATCH = 500
_LAST_PASS = 2**62


def training_stream(
    split: Split, batch_size: int, seed: int, start_step: int = 0
) -> tf.data.Dataset:
    """An endless stream of shuffled batches.

    Every pass uses each image once, in an order that depends on `seed` and the number of the pass
    only; a batch may hold the end of one pass and the beginning of the next. The stream from
    `start_step` on is the tail of the stream from 0, so that a resumed training sees what it
    would have seen.

    Sets of less than `MEMORY_LIMIT` (1 GiB of uint8 in the model's shape) are read once, now, and
    kept in memory; each pass is a permutation of the whole set. Larger ones are read from disk in
    every pass, through a shuffle buffer of 20,000 encoded images.

    Args:
      split: what to read.
      batch_size: images per batch.
      seed: of the order.
      start_step: number of batches to leave out at the start.

    Returns:
      Data set of {"image": uint8 [B, H, W, C], "label": int64 [B]}, with B unknown to the graph.
    """
    first_pass, offset = divmod(start_step * batch_size, split.num_images)
    passes = tf.data.Dataset.range(first_pass, _LAST_PASS)
    num_bytes = split.num_images * int(np.prod(split.image_shape))
    if num_bytes < MEMORY_LIMIT:
        batches = _from_memory(split, passes, offset, batch_size, seed)
    else:
        batches = _from_disk(split, passes, offset, batch_size, seed)
    return batches.prefetch(tf.data.AUTOTUNE)


def _from_memory(
    split: Split, passes: tf.data.Dataset, offset: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    images, labels = (tf.convert_to_tensor(part) for part in load(split))

    def order(number: tf.Tensor) -> tf.data.Dataset:
        indices = tf.range(split.num_images)
        shuffled = tf.random.experimental.stateless_shuffle(
            indices, seed=tf.stack([tf.constant(seed, tf.int64), number]), alg="philox"
        )
        return tf.data.Dataset.from_tensor_slices(shuffled)

    def gather(indices: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": tf.gather(images, indices), "label": tf.gather(labels, indices)}

    indices = passes.flat_map(order).skip(offset).batch(batch_size)
    return indices.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _from_disk(
    split: Split, passes: tf.data.Dataset, offset: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    records = split.records()

    def shuffled(number: tf.Tensor) -> tf.data.Dataset:
        # Set inside this function's graph, so that the program's global seed has no influence;
        # 0 is no seed to TensorFlow.
        tf.random.set_seed(seed + 1)
        return records.shuffle(_SHUFFLE_BUFFER, seed=number, reshuffle_each_iteration=False)

    # Left-out records are skipped before they are decoded.
    stream = passes.flat_map(shuffled).skip(offset)
    return _decoded(split, stream).batch(batch_size)


def scoring_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Every image once, in the split's fixed order, which does not depend on `batch_size`.

    Returns:
      Finite data set of {"index": int64 [B], "image": uint8 [B, H, W, C], "label": int64 [B]};
      the index counts the split's images from 0, and the last batch may be smaller.
    """

    def with_index(index: tf.Tensor, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"index": index, **example}

    examples = _decoded(split, split.records()).enumerate().map(with_index)
    return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def some_images(split: Split, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `num_images` images that are evenly spread over a split, classes of folders included.

    Returns:
      Indices in the split's fixed order, int64 [N], and images, uint8 [N, H, W, C].
    """
    stride = -(-split.num_images // num_images)
    batches = _decoded(split, split.records().shard(stride, 0)).batch(_READ_BATCH)
    images = np.concatenate([batch["image"] for batch in batches.as_numpy_iterator()])
    return np.arange(len(images), dtype=np.int64) * stride, images


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


def _decoded(split: Split, records: tf.data.Dataset) -> tf.data.Dataset:
    def example(*record: tf.Tensor) -> dict[str, tf.Tensor]:
        image, label = split.decode(*record)
        return {"image": image, "label": label}

    return records.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
