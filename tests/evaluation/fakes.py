"""Score tables of a model that does not exist, written by the true writer."""

import dataclasses
import itertools
import types

import numpy as np

from tfp_ood import units
from tfp_ood.evaluation import likelihood, tables
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.summary import summarize
from tfp_ood.workdir import open_workdir

NUM_DIMS = 12
IMAGE_COLUMNS = ("pixel_mean", "pixel_variance", "code_bits")


def fake_split(name="mnist", split="test", num_images=10, **changes):
    """What evaluation needs of a `data.pipeline.Split`."""
    preprocessing = {"size_change": "none", "channel_change": "none", "image_shape": [2, 2, 3]}
    return types.SimpleNamespace(
        name=name,
        split=split,
        num_images=num_images,
        native_shape=(2, 2, 3),
        preprocessing={**preprocessing, **changes},
        version="",
        source=None,
    )


def batches(num_images, batch_size=4):
    """Batches whose images hold their own number in every value."""
    for start in range(0, num_images, batch_size):
        index = np.arange(start, min(start + batch_size, num_images), dtype=np.int64)
        image = np.broadcast_to(index[:, None, None, None], (len(index), 2, 2, 3))
        yield {"index": index, "image": image.astype(np.uint8), "label": index % 3}


def metadata(split, **changes):
    facts = {
        "family": "glow",
        "num_parameters": 1234,
        "config_hash": "abc",
        "weights": "0123",
        "kind": "bound",
        "num_draws": 2,
        "seed": 0,
    }
    return tables.score_metadata(split, **{**facts, **changes})


def table(bits, name="mnist", split="test", preprocessing=None, **model):
    """A `ScoreTable` in memory with these bits per dimension."""
    bits = np.asarray(bits, np.float64)
    facts = metadata(fake_split(name, split, len(bits), **(preprocessing or {})), **model)
    return tables.ScoreTable(
        dataset=name,
        split=split,
        index=np.arange(len(bits)),
        label=np.zeros(len(bits), np.int64),
        log_prob=units.log_prob_from_bits(bits, NUM_DIMS),
        bits_per_dim=bits,
        statistics={
            **{name: np.ones(len(bits)) for name in IMAGE_COLUMNS},
            "pixel_mean": np.arange(len(bits), dtype=np.float64),  # all of them different images
        },
        metadata=facts,
    )


def with_columns(made, **columns):
    """The table with these statistics too."""
    return dataclasses.replace(made, statistics={**made.statistics, **columns})


def judged(tables, kept=(), summary=None):
    """`JudgedSet`s of tables, the in-distribution one first, as their summary describes them."""
    about = (summary or summarize(tables[0], tables[1:])).datasets
    pairs = itertools.zip_longest(tables, kept)
    return [JudgedSet(one, about[one.key], images) for one, images in pairs]


def write(workdir, bits, name="mnist", split="test", columns=None, preprocessing=None, **model):
    """A table on disk with these bits per dimension and further columns, of at most 256 images."""
    made = fake_split(name, split, len(bits), **(preprocessing or {}))
    columns = {"code_bits": np.full(len(bits), 560.0), **(columns or {})}
    values = units.log_prob_from_bits(np.asarray(bits), NUM_DIMS)
    likelihood.write_score_table(
        open_workdir(workdir).score_table(name, split),
        lambda image: {
            "log_prob": values[image[:, 0, 0, 0]],
            **{name: column[image[:, 0, 0, 0]] for name, column in columns.items()},
        },
        made,
        batches(len(bits)),
        metadata(made, **model),
        progress=False,
    )
