"""Tiny data sets that are real: TFDS files on disk, packages, and image files."""

import dataclasses

import numpy as np

from tfp_ood.data import specs, store

NUM_TRAIN, NUM_TEST = 20, 7


def arrays(shape=(28, 28, 1), num_train=NUM_TRAIN, num_test=NUM_TEST, seed=0):
    """Random images; image i carries label i % 10."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n, dtype=np.int64) % 10)
        for split, n in (("train", num_train), ("test", num_test))
    }


def store_set(name, data_dir, **kwargs):
    """Stores random images as the TFDS data set `name`; returns their arrays."""
    spec = specs.SPECS[name]
    parts = arrays(spec.native_shape, **kwargs)
    store.store(spec, parts, str(data_dir))
    return parts


def digests(parts):
    return {
        split: store.combined_digest(store.image_digests(images, labels))
        for split, (images, labels) in parts.items()
    }


def pin(monkeypatch, name, parts):
    """Makes `parts` the right content of the set `name` for this test."""
    spec = dataclasses.replace(
        specs.SPECS[name], num_train=len(parts["train"][1]), num_test=len(parts["test"][1])
    )
    monkeypatch.setitem(specs.SPECS, name, spec)
    monkeypatch.setitem(store.DIGESTS, name, digests(parts))
    return spec
