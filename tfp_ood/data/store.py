"""Writing raw arrays as an official TFDS data set, and checking any TFDS data set."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm import tqdm

from tfp_ood.data.mirrors import Arrays
from tfp_ood.data.specs import DatasetSpec
from tfp_ood.data.untuned import untuned

DIGESTS = {
    "mnist": {
        "train": "ceb7dae35f33b78023fdd631afb40f55178e62cdc2ffb9a9914d62cf00c16f13",
        "test": "4be5dbf3279c06a13f5ec5886b40e9a0b86af9449a6194a03782ddd01e20fd11",
    },
    "fashion_mnist": {
        "train": "9b59105b0403efb11e8b880a02c46894ebc04265c845ebcbb781b324c4fdd377",
        "test": "42d9ee570837aba1cd0b32741e8c1a09f099a3abe1ff438da2b17208614d12f5",
    },
    "cifar10": {
        "train": "6c3d94351344c6460973c9795f4a4fcc19984b1b894a9b39889a02e380f4d4d3",
        "test": "7742db831caeba84ea1d4663e0d07ca1879cbb76e501e036935be5fd5506749b",
    },
}
"""Name -> TFDS split -> `combined_digest` of all its images with their labels."""

_CIFAR10_LABELS = "airplane automobile bird cat deer dog frog horse ship truck"
_LABEL_NAMES = {"cifar10": _CIFAR10_LABELS.split()}
"""What the official builder reads from the original archive, as far as mirrors lack it."""

_FEWEST_DIGITS, _ID_DIGITS = 5, {"svhn_cropped": 6}

_BATCH = 500


class CheckError(Exception):
    """A data set that is not what it should be."""


Chunks = Mapping[str, Iterable[tuple[np.ndarray, np.ndarray]]]
"""TFDS split -> parts of it, one after the other, each as in `Arrays`."""


def store(spec: DatasetSpec, arrays: Arrays, data_dir: str) -> None:
    """`store_chunks` of arrays that hold a split each."""
    store_chunks(spec, {split: [parts] for split, parts in arrays.items()}, data_dir)


def store_chunks(spec: DatasetSpec, chunks: Chunks, data_dir: str) -> None:
    """Writes images to `data_dir` under the name, version and features of the official set.

    Their order is the original one; as TFDS shuffles by position, the files hold the examples in
    the same order as those of an official preparation. One chunk of a split is in memory at once.
    """
    builder = tfds.builder(spec.tfds_name, data_dir=data_dir)
    features = builder.info.features
    if spec.name in _LABEL_NAMES:
        features[spec.label_key].names = _LABEL_NAMES[spec.name]
    tfds.dataset_builders.store_as_tfds_dataset(
        name=builder.name,
        config=builder.builder_config and builder.builder_config.name,
        version=builder.version,
        features=features,
        split_datasets={
            split: enumerate(_examples(split, parts, _id_digits(spec, features)))
            for split, parts in chunks.items()
        },
        data_dir=data_dir,
        description=builder.info.description,
        homepage=builder.info.homepage,
        citation=builder.info.citation,
    )


def _id_digits(spec: DatasetSpec, features: Any) -> int:
    """How many digits an image's official id has; 0 where it has none."""
    return _ID_DIGITS.get(spec.name, _FEWEST_DIGITS) if "id" in features else 0


def _examples(
    split: str, chunks: Iterable[tuple[np.ndarray, np.ndarray]], id_digits: int
) -> Iterator[dict[str, Any]]:
    """Examples with encoded images: TensorFlow encodes in parallel, TFDS one by one."""
    count = 0
    for images, labels in chunks:
        encoded = tf.data.Dataset.from_tensor_slices(images).map(
            tf.io.encode_png, num_parallel_calls=tf.data.AUTOTUNE
        )
        # Batches, because handing single elements to Python takes longer than encoding them.
        batches = untuned(encoded.batch(_BATCH).prefetch(tf.data.AUTOTUNE)).as_numpy_iterator()
        for image, label in zip(itertools.chain.from_iterable(batches), labels, strict=True):
            example = {"image": image, "label": int(label)}
            yield {**example, "id": f"{split}_{count:0{id_digits}d}"} if id_digits else example
            count += 1


def check(spec: DatasetSpec, data_dir: str) -> None:
    """Reads every image of a set in `data_dir` and checks counts, shapes and digests.

    Raises:
      CheckError: says what differs.
    """
    builder = tfds.builder(spec.tfds_name, data_dir=data_dir)
    counts = {spec.train_split: spec.num_train, spec.test_split: spec.num_test}
    for split, count in counts.items():
        found = builder.info.splits[split].num_examples if split in builder.info.splits else 0
        if found != count:
            raise CheckError(f"{found} images in split {split} instead of {count}")
        digest = _split_digest(spec, builder, split, count)
        wanted = DIGESTS.get(spec.name, {}).get(split, digest)
        if digest != wanted:
            raise CheckError(f"the images or labels of split {split} are not the original ones")


def _split_digest(spec: DatasetSpec, builder: Any, split: str, count: int) -> str:
    keys = [key for key in (spec.image_key, spec.label_key) if key]
    batches = builder.as_dataset(
        split=split,
        batch_size=_BATCH,
        decoders=tfds.decode.PartialDecoding({key: True for key in keys}),
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    digests = []
    with tqdm(total=count, desc=f"checking {spec.name} {split}", unit="image", delay=1) as progress:
        for batch in untuned(batches).as_numpy_iterator():
            images = batch[spec.image_key]
            labels = batch[spec.label_key] if spec.label_key else np.full(len(images), -1)
            if images.shape[1:] != spec.native_shape:
                raise CheckError(
                    f"images of {images.shape[1:]} instead of {spec.native_shape} in split {split}"
                )
            digests += image_digests(images, labels)
            progress.update(len(images))
    return combined_digest(digests)


def image_digests(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    """SHA-256 of each image's bytes followed by its label as a little-endian 64-bit integer."""
    return [
        hashlib.sha256(image.tobytes() + label.tobytes()).digest()
        for image, label in zip(images, labels.astype("<i8"), strict=True)
    ]


def combined_digest(digests: list[bytes]) -> str:
    """One SHA-256, in hex, of images in any order: TFDS may write a set's shards anew."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
