"""The `tf.distribute` strategy of a config, and how data are divided among its replicas."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tfp_ood import atomic, signals
from tfp_ood.config import Config, ConfigError, TrainConfig
from tfp_ood.data.pipeline import Shard
from tfp_ood.errors import WorkerLostError
from tfp_ood.training import cluster

_OF_LOST_WORKERS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


def connect(config: Config) -> tf.distribute.Strategy:
    """The strategy of a config. With several workers it waits until all of them are there.

    For several workers this must come before TensorFlow's first operation. A process joins its
    workers once: later calls get the same strategy.

    Raises:
      ConfigError: the batch does not divide by the replicas.
      UserError: TF_CONFIG is missing or malformed.
    """
    kind = cluster.kind(config)
    if kind == "multi_worker":
        workers = cluster.of(config)
        # Before the others are waited for: a mistake that all of them have.
        _check(config.train, workers.num_workers)
        found = _multi_worker(workers)
    elif kind == "mirrored" or (kind == "auto" and len(_gpus()) > 1):
        found = _mirrored()
    else:
        found = tf.distribute.get_strategy()
    _check(config.train, found.num_replicas_in_sync)
    return found


def distribute(
    strategy: tf.distribute.Strategy, dataset_of: Callable[[Shard], tf.data.Dataset]
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """A data set of which each replica gets its own part.

    Args:
      strategy: of the training.
      dataset_of: makes the part of one process, in batches for one replica.
    """
    if strategy.num_replicas_in_sync == 1:
        return dataset_of(Shard())
    return strategy.distribute_datasets_from_function(
        lambda context: dataset_of(
            Shard(
                context.input_pipeline_id,
                context.num_input_pipelines,
                context.num_replicas_in_sync,
            )
        )
    )


def of_scoring(config: Config) -> tf.distribute.Strategy:
    """The strategy of one process that scores: all of its GPUs, unless the config says one."""
    chosen = config.train.strategy
    if chosen == "mirrored" or (chosen != "single" and len(_gpus()) > 1):
        return _mirrored()
    return tf.distribute.get_strategy()


_Scorer = Callable[[Any], dict[str, tf.Tensor]]


def spread(strategy: tf.distribute.Strategy, score: _Scorer) -> _Scorer:
    """A function of images of which each replica computes its part.

    Args:
      strategy: of the model, if it needs any.
      score: of images `[B, H, W, C]`, at least one, to `[B]` each; what it tells of an image
        depends on that alone.
    """
    count = strategy.num_replicas_in_sync
    if count == 1:
        return score

    def score_parts(images: Any) -> dict[str, tf.Tensor]:
        images = tf.convert_to_tensor(images)
        num_images = tf.shape(images)[0]
        each = -(-num_images // count)
        # Parts are equal: where images are missing the last one stands, since kernels refuse none.
        places = tf.minimum(tf.range(count * each), num_images - 1)
        parts = tf.gather(images, tf.reshape(places, [count, each]))

        def score_part() -> dict[str, tf.Tensor]:
            part = parts[tf.distribute.get_replica_context().replica_id_in_sync_group]
            return score(tf.ensure_shape(part, [None, *images.shape[1:]]))

        found = strategy.run(score_part)
        return {
            name: tf.concat(strategy.experimental_local_results(values), 0)[:num_images]
            for name, values in found.items()
        }

    return score_parts


def _check(train: TrainConfig, num_replicas: int) -> None:
    """Refuses what several replicas cannot train as one does: their shares must be equal."""
    if train.batch_size % num_replicas:
        valid = f"a multiple of {num_replicas}, the replicas that share each batch"
        raise ConfigError("train.batch_size", train.batch_size, valid)


@functools.cache
def _multi_worker(workers: cluster.Cluster) -> tf.distribute.Strategy:
    print(
        f"worker {workers.index} of {workers.num_workers}: waiting for the others at "
        f"{', '.join(workers.workers)}",
        flush=True,
    )
    with signals.unhandled():  # nothing is lost while nothing is computed
        return tf.distribute.MultiWorkerMirroredStrategy()


def _mirrored() -> tf.distribute.Strategy:
    if _gpus():
        return tf.distribute.MirroredStrategy()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    # CPUs share their memory; the collective operations that are the default would gain nothing,
    # and their keys clash between the strategies of one process.
    return tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def _gpus() -> list[tf.config.LogicalDevice]:
    return tf.config.list_logical_devices("GPU")


@contextlib.contextmanager
def errors_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Tells which of TensorFlow's many errors mean a lost worker."""
    try:
        yield
    except tf.errors.OpError as error:
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if atomic.means_full(error) or not several or not isinstance(error, _OF_LOST_WORKERS):
            raise
        number = signals.requested()
        if number is not None:  # all of them are being stopped
            raise signals.Stopped(number, "from the last backup") from error
        raise WorkerLostError(
            f"another worker is gone ({type(error).__name__}). Start the same command on all "
            "workers: they go on from the last backup."
        ) from error
