"""Likelihood of own and foreign images while a model is trained."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_ood import trajectory
from tfp_ood.config import Config
from tfp_ood.data import pipeline
from tfp_ood.keras import keras
from tfp_ood.training.callbacks import averaged_weights, steps_done
from tfp_ood.training.tensorboard import grid
from tfp_ood.workdir import WorkDir, slug

_NUM_EXTREMES = 10  # images of each end


class ScoreTrajectory(keras.callbacks.Callback):
    """Scores some images of every judged set before the first step and after every epoch.

    Each time it leaves a file in `workdir.trajectory` and, for TensorBoard, the mean bits/dim, the
    histogram of log_prob and the most extreme images of every set: a run for each set, so that one
    chart lays them over each other. The scoring has no influence on the training.

    Args:
      config: says how many images of every set.
      workdir: whose training it is.
      sets: to take images from (`pipeline.open_sets`).
      resumed: an earlier process has seen the model before the first step.
      writes: whether to leave anything. Of several workers the chief does; the others take part in
        reading weights whose values are spread over all of them.
    """

    def __init__(
        self,
        config: Config,
        workdir: WorkDir,
        sets: Sequence[pipeline.Split],
        resumed: bool,
        writes: bool = True,
    ):
        super().__init__()
        self._workdir, self._resumed, self._writes = workdir, resumed, writes
        self._batch_size = config.evaluate.batch_size
        self._images = [
            (split, *pipeline.some_images(split, config.evaluate.num_trajectory)) for split in sets
        ]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Looks at the model that nothing has trained yet."""
        if not self._resumed:
            self._look(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks with the weights that evaluation would use."""
        with averaged_weights(self.model):
            self._look(steps_done(self.model))

    def _look(self, step: int) -> None:
        found = [
            trajectory.scored(
                split.name, split.split, index, self._log_prob(images), self.model.num_dims
            )
            for split, index, images in self._images
        ]
        if not self._writes:
            return
        trajectory.write(self._workdir.trajectory, step, found)
        for one, (*_, images) in zip(found, self._images, strict=True):
            # One file per epoch: nothing is open, or lost, when a training is killed.
            folder = self._workdir.tensorboard / "sets" / _run_name(one)
            order = np.argsort(-one.log_prob, kind="stable")
            with tf.summary.create_file_writer(str(folder)).as_default() as writer:
                tf.summary.scalar("sets/bits_per_dim", np.mean(one.bits_per_dim), step)
                tf.summary.histogram("sets/log_prob", one.log_prob, step)
                for name, chosen in (("likeliest", order), ("unlikeliest", order[::-1])):
                    shown = images[chosen[:_NUM_EXTREMES]]
                    tf.summary.image(f"sets/{name}", grid(tf.constant(shown)), step)
                writer.close()

    def _log_prob(self, images: np.ndarray) -> np.ndarray:
        """Nats per image [N], of one draw."""
        starts = range(0, len(images), self._batch_size)
        parts = [self.model.log_prob(images[start:][: self._batch_size]) for start in starts]
        return np.concatenate(parts)


def _run_name(one: trajectory.Scored) -> str:
    """What TensorBoard calls the curve of a set: "contrast:0.5" is "contrast_0.5.test"."""
    name = slug(one.dataset) if "/" in one.dataset else one.dataset.replace(":", "_")
    return f"{name}.{one.split}"
