"""What a million images take: python -m tests.benchmarks.scale [NUM_IMAGES]

Synthetic 32x32x3 images go through the true writer of score tables, with a model that costs
nothing, so that the pipeline is what is measured: reading, all columns of the image itself, what is
kept, and the table. Then the report of as many own and as many foreign images. Each part runs in a
process of its own, whose peak memory is told; of the pipeline also what is above that before its
first image. Prints one JSON object: images/s, seconds and MiB. Of another NUM_IMAGES the keys are
the same: `1m` is all of them and `100k` a tenth.
"""

import json
import multiprocessing
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SHAPE = (32, 32, 3)
SETS = [("cifar10", "test"), ("svhn_cropped", "test")]
_BANK = 512


def peak_mib() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bank() -> np.ndarray:
    """Some images that compress about as photographs do: smooth, with some noise."""
    rng = np.random.default_rng(0)
    waves = np.cumsum(np.cumsum(rng.normal(size=(_BANK, *SHAPE)), 1), 2)
    scaled = 128 + 60 * waves / np.std(waves, axis=(1, 2, 3), keepdims=True)
    return np.clip(scaled + rng.normal(0, 4, scaled.shape), 0, 255).astype(np.uint8)


def metadata(split: Any) -> dict[str, Any]:
    """Facts of a model that does not exist."""
    from tfp_ood.evaluation import tables

    facts = {"family": "glow", "num_parameters": 0, "config_hash": "", "weights": None}
    return tables.score_metadata(split, **facts, kind="bound", num_draws=1, seed=0)


def synthetic_split(name: str, num_images: int) -> Any:
    """A split of images that are taken from the bank by their number, as those of an array are."""
    import tensorflow as tf

    from tfp_ood.data import pipeline

    images = tf.constant(bank())
    labels = np.zeros(num_images, np.int64)
    return pipeline.Split(
        name,
        "test",
        num_images,
        SHAPE,
        {"size_change": "none", "channel_change": "none", "image_shape": list(SHAPE)},
        SHAPE,
        lambda: tf.data.Dataset.from_tensor_slices((np.arange(num_images), labels)),
        lambda index: images[index % _BANK],
        decode_batch=lambda indices: tf.gather(images, indices % _BANK),
    )


def pipeline_part(num_images: int) -> dict[str, float]:
    """Images/s and peak memory of the pipeline with all columns of images."""
    from tfp_ood import devices

    devices.share_cores()
    import tensorflow as tf

    from tfp_ood.data import pipeline
    from tfp_ood.evaluation import code_length, likelihood

    split = synthetic_split("synthetic", num_images)

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.uint8)], autograph=False)
    def score(images: tf.Tensor) -> dict[str, tf.Tensor]:
        log_prob = -tf.cast(tf.shape(images)[0], tf.float32) * tf.ones(tf.shape(images)[:1])
        return {"log_prob": log_prob}

    scorer = code_length.added(score)  # as evaluation does of so many images
    np.asarray(scorer(tf.constant(bank()[:250]))["code_bits"])
    before = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        likelihood.write_score_table(
            pathlib.Path(folder) / "synthetic.parquet",
            scorer,
            split,
            pipeline.scoring_batches(split, 250),
            metadata(split),
            progress=False,
        )
        seconds = time.monotonic() - start
    return {
        "images_per_second": num_images / seconds,
        "peak_mib": peak_mib(),
        "above_start_mib": peak_mib() - before,
    }


def write_tables(root: pathlib.Path, num_images: int) -> None:
    """Tables as a Glow would leave them: own, foreign and held-out images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tfp_ood import units
    from tfp_ood.data.pipeline import Split
    from tfp_ood.evaluation import images, tables
    from tfp_ood.models import whiteness
    from tfp_ood.workdir import open_workdir

    levels = [f"level_{number}" for number in (1, 2, 3)]
    names = [f"{test}.{one}" for test in (*whiteness.TESTS, "mean_square") for one in levels]
    kept_images = bank()[:256]
    for number, (name, split) in enumerate([*SETS, ("cifar10", "validation")]):
        shift = 0.5 * (name == "svhn_cropped")
        count = 5000 if split == "validation" else num_images
        rng = np.random.default_rng(number)
        record = {"size_change": "none", "channel_change": "none", "image_shape": list(SHAPE)}
        facts = metadata(Split(name, split, count, SHAPE, record, SHAPE, None, None))
        log_prob = rng.normal(-7000 - 300 * shift, 500, count)
        columns = {
            "dataset": pa.repeat(name, count).dictionary_encode(),
            "split": pa.repeat(split, count).dictionary_encode(),
            "index": np.arange(count),
            "label": np.zeros(count, np.int64),
            "log_prob": log_prob,
            "bits_per_dim": units.bits_per_dim(log_prob, int(np.prod(SHAPE))),
            **{key: rng.normal(1 + shift, 0.3, count) for key in names},
            "code_bits": rng.normal(16000 + 2400 * shift, 2400, count),
            **{key: rng.normal(120, 30, count) for key in ("pixel_mean", "pixel_variance")},
        }
        path = open_workdir(root).score_table(name, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = {tables.METADATA_KEY: tables.encode_metadata(facts)}
        pq.write_table(pa.table(columns, metadata=encoded), path, write_page_checksum=True)
        ends = np.stack([np.arange(16), np.arange(count - 16, count)])
        kept = images.Kept(
            kept_images[:32].reshape(2, 16, *SHAPE), ends, kept_images, np.arange(256),
            kept_images.mean(0), kept_images.var(0),
        )  # fmt: skip
        images.write_kept(path, kept, facts)


def report_part(root: pathlib.Path) -> dict[str, float]:
    """Seconds and peak memory of the report on what `write_tables` wrote."""
    from tfp_ood.reporting.run.report import write_report

    start = time.monotonic()
    write_report(root, SETS)
    return {"seconds": time.monotonic() - start, "peak_mib": peak_mib()}


def alone(part: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(part, arguments)


def main(num_images: int = 1_000_000) -> None:
    """Measures all."""
    small, large = (alone(pipeline_part, number) for number in (num_images // 10, num_images))
    with tempfile.TemporaryDirectory() as folder:
        alone(write_tables, pathlib.Path(folder), num_images)
        report = alone(report_part, pathlib.Path(folder))
    found = {
        "pipeline_images_per_second": large["images_per_second"],
        "peak_mib_100k": small["peak_mib"],
        "peak_mib_1m": large["peak_mib"],
        "above_start_mib_100k": small["above_start_mib"],
        "above_start_mib_1m": large["above_start_mib"],
        "report_seconds_1m": report["seconds"],
        "report_peak_mib_1m": report["peak_mib"],
    }
    print(json.dumps({key: round(value, 1) for key, value in found.items()}, indent=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
