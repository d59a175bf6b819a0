"""Likelihood of own and foreign images while a model is trained."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_ood import paths, trajectory
from tfp_ood.config import Config
from tfp_ood.data import pipeline
from tfp_ood.keras import keras
from tfp_ood.training.callbacks import averaged_weights, steps_done
from tfp_ood.training.tensorboard import grid
from tfp_ood.workdir import WorkDir, slug

_NUM_EXTREMES = 10  # images of each end

Columns = Mapping[str, np.ndarray]
"""Statistics of images by name, [N] each, as in a score table."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """How to tell sets apart by more than likelihood, from outside: training knows no detectors."""

    measure: Callable[[np.ndarray], Columns]
    """Columns of uint8 images [N, H, W, C] that need no model."""
    aurocs: Callable[[Columns, Columns, Sequence[Columns]], Sequence[float]]
    """Of each of the sets in the last argument, the AUROC against the in-distribution images of the
    second, when detectors are fitted on the held-out images of the first."""


class ScoreTrajectory(keras.callbacks.Callback):
    """Scores some images of every judged set before the first step and after every epoch.

    Each time it leaves a file in `workdir.trajectory` and, for TensorBoard, the mean bits/dim, the
    histogram of log_prob and the most extreme images of every set, and how well all detectors tell
    it from the in-distribution one: a run for each set, so that one chart lays them over each
    other. The scoring has no influence on the training.

    Args:
      config: says how many images of every set.
      workdir: whose training it is.
      sets: to take images from (`pipeline.open_sets`).
      held_out: in-distribution images that no weight is trained on.
      first_images: of the training set, for `averaged_weights`.
      judge: for `sets/auroc_combined`, the AUROC of all detectors together; None for none.
      resumed: an earlier process has seen the model before the first step.
      writes: whether to leave anything. Of several workers the chief does; the others take part in
        reading weights whose values are spread over all of them.
    """

    def __init__(
        self,
        config: Config,
        workdir: WorkDir,
        sets: Sequence[pipeline.Split],
        held_out: pipeline.Split,
        first_images: np.ndarray,
        judge: Judge | None,
        resumed: bool,
        writes: bool = True,
    ):
        super().__init__()
        self._workdir, self._resumed, self._writes = workdir, resumed, writes
        self._first_images = first_images
        self._batch_size = config.scoring_batch_size
        number, self._judge = config.evaluate.num_trajectory, judge
        self._images = [(split, *pipeline.some_images(split, number)) for split in sets]
        self._held_out = pipeline.some_images(held_out, number)[1] if judge else None
        pictures = [self._held_out, *(images for *_, images in self._images)] if judge else []
        self._measures = [judge.measure(images) for images in pictures]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Looks at the model that nothing has trained yet."""
        if not self._resumed:
            self._look(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks with the weights that evaluation would use."""
        with averaged_weights(self.model, self._first_images):
            self._look(steps_done(self.model))

    def _look(self, step: int) -> None:
        told = [self._statistics(images) for *_, images in self._images]
        found = [
            trajectory.scored(
                split.name, split.split, index, columns["log_prob"], self.model.num_dims
            )
            for columns, (split, index, _) in zip(told, self._images, strict=True)
        ]
        aurocs = self._aurocs(told) if self._judge else {}
        if not self._writes:
            return
        trajectory.write(self._workdir.trajectory, step, found)
        for one, (*_, images) in zip(found, self._images, strict=True):
            # One file per epoch: nothing is open, or lost, when a training is killed.
            folder = self._workdir.tensorboard / "sets" / _run_name(one)
            order = np.argsort(-one.log_prob, kind="stable")
            with tf.summary.create_file_writer(paths.for_tensorflow(folder)).as_default() as writer:
                tf.summary.scalar("sets/bits_per_dim", np.mean(one.bits_per_dim), step)
                tf.summary.histogram("sets/log_prob", one.log_prob, step)
                if one.key in aurocs:
                    tf.summary.scalar("sets/auroc_combined", aurocs[one.key], step)
                for name, chosen in (("likeliest", order), ("unlikeliest", order[::-1])):
                    shown = images[chosen[:_NUM_EXTREMES]]
                    tf.summary.image(f"sets/{name}", grid(tf.constant(shown)), step)
                writer.close()

    def _statistics(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What the model tells of images, of one draw: float64 [N] each."""
        starts = range(0, len(images), self._batch_size)
        parts = [self.model.statistics(images[start:][: self._batch_size]) for start in starts]
        return {
            name: np.concatenate([part[name] for part in parts]).astype(np.float64)
            for name in parts[0]
        }

    def _aurocs(self, told: Sequence[Columns]) -> dict[str, float]:
        """By key of the out-of-distribution sets; none while a statistic is not a number."""
        told = [self._statistics(self._held_out), *told]
        held_out, own, *others = (
            {**columns, **measures} for columns, measures in zip(told, self._measures, strict=True)
        )
        values = [v for columns in (held_out, own, *others) for v in columns.values()]
        if not all(np.all(np.isfinite(v)) for v in values):
            return {}
        keys = [f"{split.name}/{split.split}" for split, *_ in self._images[1:]]
        return dict(zip(keys, self._judge.aurocs(held_out, own, others), strict=True))


def _run_name(one: trajectory.Scored) -> str:
    """What TensorBoard calls the curve of a set: "contrast:0.5" is "contrast_0.5.test"."""
    name = slug(one.dataset) if "/" in one.dataset else one.dataset.replace(":", "_")
    return f"{name}.{one.split}"
