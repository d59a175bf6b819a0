"""What `tensorboard --logdir WORKDIR` shows, beside the curves that Keras writes.

scalars   epoch_bits_per_dim of `train` and `validation`, epoch_gradient_norm, epoch_learning_rate,
          epoch_images_per_second; sets/bits_per_dim and sets/auroc_combined, a line for every
          judged set (`trajectory`)
images    samples, reconstructions; sets/likeliest and sets/unlikeliest
histograms  sets/log_prob
text      config
hparams   every number and word of the config, with the last bits/dim
"""

import dataclasses
import math
import pathlib
import time
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hp

from tfp_ood import paths
from tfp_ood.config import Config
from tfp_ood.keras import keras
from tfp_ood.options import flat
from tfp_ood.workdir import WorkDir


def dashboard(
    config: Config, workdir: WorkDir, images: tf.Tensor, writes: bool = True
) -> list[keras.callbacks.Callback]:
    """Callbacks that write all but the judged sets.

    Args:
      config: of the run.
      workdir: of the run.
      images: uint8 `[N, H, W, C]`, for models that reconstruct.
      writes: whether to write. Of several workers the chief does; the others take part in what all
        compute together.
    """
    if not writes:
        return [ShowImages(None, images, config.seed)]
    folder = pathlib.Path(paths.for_tensorflow(workdir.tensorboard))
    return [
        Throughput(config.train.batch_size),  # before Keras writes what it measures
        Curves(str(folder), write_graph=False),
        # Once, and again after a resume.
        keras.callbacks.LambdaCallback(on_train_begin=lambda logs: _show_config(config, folder)),
        ShowImages(folder / "images", images, config.seed),
    ]


class Curves(keras.callbacks.TensorBoard):
    """The curves of Keras, without its second one of the validation, over steps."""

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends a validation, whose figures come with those of the epoch."""
        super().on_test_end({})


class Throughput(keras.callbacks.Callback):
    """Adds `images_per_second` to what is logged of each epoch, without validation.

    Args:
      batch_size: images per step, over all replicas.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size, self._num_steps, self._seconds, self._start = batch_size, 0, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._num_steps, self._start = 0, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts; the last step's time is the epoch's, before validation begins."""
        self._num_steps += 1
        self._seconds = time.monotonic() - self._start

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Leaves the figure for the callbacks that follow."""
        if logs is not None and self._seconds:
            logs["images_per_second"] = self._num_steps * self._batch_size / self._seconds


def _show_config(config: Config, folder: pathlib.Path) -> None:
    """Writes the config as text, and as hyperparameters that runs can be compared by."""
    values = dict(flat(dataclasses.asdict(config)))
    rows = [f"| {key} | `{value}` |" for key, value in values.items()]
    metrics = [
        hp.Metric("epoch_bits_per_dim", group=group, display_name=f"bits/dim, {group}")
        for group in ("validation", "train")
    ]
    # Hyperparameters know no sequences: these are shown as words.
    plain = bool | int | float | str
    shown = {k: value if isinstance(value, plain) else str(value) for k, value in values.items()}
    with tf.summary.create_file_writer(str(folder)).as_default() as writer:
        tf.summary.text("config", "\n".join(["| key | value |", "|---|---|", *rows]), step=0)
        hp.hparams_config(hparams=[hp.HParam(key) for key in values], metrics=metrics)
        hp.hparams(shown)
        writer.close()


class ShowImages(keras.callbacks.Callback):
    """Images for TensorBoard after every epoch: samples and, where a model has them, how it
    reconstructs given images.

    Args:
      folder: of the event files; None for a worker that only takes part in what several compute
        together.
      images: uint8 `[N, H, W, C]`, to reconstruct.
      seed: of the samples, the same in every epoch, so that one sees them change.
    """

    def __init__(self, folder: pathlib.Path | None, images: tf.Tensor, seed: int):
        super().__init__()
        self._folder, self._images, self._seed = folder, images, seed

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws as many samples as there are images; none from families that are slow at it."""
        shown = {}
        if self.model.quick_samples:
            shown["samples"] = self.model.sample(len(self._images), self._seed)
        if hasattr(self.model, "reconstruct"):
            again = self.model.reconstruct(self._images)
            shown["reconstructions"] = tf.concat([self._images, again], axis=1)
        if not shown or self._folder is None:
            return
        # One file per epoch: nothing is open, or lost, when a training is killed.
        with tf.summary.create_file_writer(str(self._folder)).as_default() as writer:
            for name, images in shown.items():
                tf.summary.image(name, grid(images), step=epoch)
            writer.close()


def grid(images: tf.Tensor) -> tf.Tensor:
    """`[N, H, W, C]` as one image `[1, rows * H, columns * W, C]`, row by row.

    The columns are the fewest that are not fewer than the rows and leave no gap.
    """
    count, height, width, channels = images.shape
    columns = next(c for c in range(math.ceil(count**0.5), count + 1) if count % c == 0)
    tiles = tf.reshape(images, [count // columns, columns, height, width, channels])
    rows = tf.transpose(tiles, [0, 2, 1, 3, 4])
    return tf.reshape(rows, [1, count // columns * height, columns * width, channels])
