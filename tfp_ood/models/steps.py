"""A step of training and one of validation, of any family, on one device or on several."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_ood import units
from tfp_ood.keras import keras
from tfp_ood.models import folding
from tfp_ood.models.halves import Part, in_halves, sums_in_halves

_PART_SEED = 512
"""Between the seeds of a batch's halves: more than there are replicas."""


class SteppedModel(keras.Model):
    """What Keras' `fit` and `evaluate` do with a batch.

    Each of several replicas computes its share of the gradient; then it is summed over them, which
    XLA does not compile: it compiles what each does by itself.

    Args:
      image_shape: (H, W, C).
      num_dims: H W C.
      seed: of the noise of all steps.
    """

    couples_images = False
    """Whether what is trained is more than a mean over images (`_of_batch`)."""

    def __init__(self, image_shape: tuple[int, int, int], num_dims: int, seed: int):
        super().__init__()
        self.image_shape, self.num_dims, self.seed = tuple(image_shape), num_dims, seed
        self._bits_per_dim = keras.metrics.Mean("bits_per_dim")
        self._gradient_norm = keras.metrics.Mean("gradient_norm")
        self._compiles_replicas = False
        self._foldable: Callable[[], list[folding.Foldable]] = list
        # Metrics hold what all replicas saw; Keras would sum over workers what a step returns.
        self.distribute_reduction_method = "first"

    def compile(self, *args: Any, jit_compile: bool | None = None, **kwargs: Any) -> None:
        """As Keras does; makes the optimizer's variables too, or the first step is traced twice.

        Args:
          *args: of Keras.
          jit_compile: whether XLA compiles steps; of several replicas, what each does by itself.
          **kwargs: of Keras.
        """
        several = self.distribute_strategy.num_replicas_in_sync > 1
        # Replicas whose losses hang together exchange more than gradients.
        self._compiles_replicas = bool(jit_compile) and several and not self.couples_images
        super().compile(*args, jit_compile=jit_compile and not several, **kwargs)
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at every epoch: bits/dim, and in training the norm of its gradient
        before it is clipped."""
        return [self._bits_per_dim, self._gradient_norm]

    def train_step(self, batch: Part) -> dict[str, tf.Tensor]:
        """One optimizer step on the mean bits/dim of `batch["image"]`."""
        compute = self._compiled(self._bits_and_gradients)
        bits, gradients = compute(batch, self._step_seed())
        # Summed over replicas here and not inside the optimizer: the norm is of the sum.
        pairs = self.optimizer.aggregate_gradients(
            list(zip(gradients, self.trainable_variables, strict=True))
        )
        self._gradient_norm.update_state(tf.linalg.global_norm([g for g, _ in pairs]))
        self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        self._bits_per_dim.update_state(bits, sample_weight=tf.shape(batch["image"])[0])
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, batch: Part) -> dict[str, tf.Tensor]:
        """Bits/dim of a batch as evaluation measures it, with one noise draw."""
        batch, num_images = {"image": batch["image"]}, tf.shape(batch["image"])[0]
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            # A replica may be out of images before others are, and kernels refuse empty batches.
            another = tf.zeros([1, *self.image_shape], tf.uint8)
            batch = {"image": tf.concat([batch["image"], another], 0)}
        log_prob = self._compiled(self._log_prob_of_batch)(batch)
        self._bits_per_dim.update_state(units.bits_per_dim(log_prob[:num_images], self.num_dims))
        return {"bits_per_dim": self._bits_per_dim.result()}

    def _compiled(self, function: Callable) -> Callable:
        """A function of tensors of one replica, compiled by XLA if that is left to replicas."""
        if not self._compiles_replicas:
            return function
        return tf.function(function, autograph=False, jit_compile=True)

    def _bits_and_gradients(
        self, batch: Part, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Of a replica's batch, bits/dim `[]` and its share of each variable's gradient."""

        if self.couples_images:
            return self._of_coupled_images(batch, seed)
        num_images = tf.cast(tf.shape(batch["image"])[0], tf.float32)
        variables = self.trainable_variables

        def sums(
            part: Part, number: tf.Tensor, skipped: tf.Tensor, folded: Sequence[folding.Folded]
        ) -> list[tf.Tensor | None]:
            """Each half has its backward pass in the function that is traced for both."""
            with tf.GradientTape() as tape:
                tape.watch(folded)
                with folding.using(self._foldable(), folded):
                    log_prob = self._of_batch(self._seeded_parts(part, number, seed))
                bits = units.bits_per_dim(log_prob, self.num_dims)
                total = tf.reduce_sum(bits[skipped:]) / num_images
                loss = self._share(total)
            gradients = tape.gradient(loss, [*variables, *tf.nest.flatten(folded)])
            # That of a gather is in slices.
            return [total, *(g if g is None else tf.convert_to_tensor(g) for g in gradients)]

        with tf.GradientTape() as tape:
            folded = folding.fold(self._foldable())
        total, *found = sums_in_halves(sums, batch, folded, bool(self.jit_compile))
        direct, of_folded = found[: len(variables)], found[len(variables) :]
        pairs = zip(tf.nest.flatten(folded), of_folded, strict=True)
        reached = [(one, gradient) for one, gradient in pairs if gradient is not None]
        if not reached:
            return total, direct
        targets, outputs = zip(*reached, strict=True)
        through = tape.gradient(list(targets), variables, list(outputs))
        return total, [_sum(pair) for pair in zip(direct, through, strict=True)]

    def _of_coupled_images(self, batch: Part, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """`_bits_and_gradients` where what is trained is no sum over images."""

        def parts(part: Part, number: tf.Tensor) -> Part:
            return self._seeded_parts(part, number, seed)

        with tf.GradientTape() as tape:
            log_prob = self._of_batch(in_halves(parts, batch, bool(self.jit_compile)))
            bits = tf.reduce_mean(units.bits_per_dim(log_prob, self.num_dims))
            loss = self._share(bits)
        return bits, tape.gradient(loss, self.trainable_variables)

    def _seeded_parts(self, part: Part, number: tf.Tensor, seed: tf.Tensor) -> Part:
        """`_training_parts` of a part of a batch, with noise of its own."""
        part_seed = seed + tf.stack([_PART_SEED * number, 0])
        return self._training_parts(part["image"], part.get("label"), part_seed)

    def _share(self, bits: tf.Tensor) -> tf.Tensor:
        """A replica's share of the loss: gradients of replicas are summed."""
        return bits / tf.distribute.get_strategy().num_replicas_in_sync

    def _log_prob_of_batch(self, batch: Part) -> tf.Tensor:
        """Nats `[B]`, of one noise draw."""

        def scores(part: Part, number: tf.Tensor) -> Part:
            return {"log_prob": self._scores(part["image"], 1)["log_prob"]}

        with self._folded_once():
            return in_halves(scores, batch, bool(self.jit_compile))["log_prob"]

    def _folded_once(
        self, further: Sequence[folding.Foldable] = ()
    ) -> contextlib.AbstractContextManager[None]:
        """While it is open, all parts of a batch share weights that are folded here: those of the
        model's layers, and further ones."""
        layers = [*self._foldable(), *further]
        return folding.using(layers, folding.fold(layers))

    def _training_parts(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What `_of_batch` needs of a part of a batch, a row for each image.

        Args:
          images: uint8 `[B, H, W, C]`.
          labels: int64 `[B]`, for families that are conditioned on classes.
          seed: int32 `[2]`, of the part's noise.
        """
        return {"log_prob": self._training_log_prob(images, labels, seed)}

    def _of_batch(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        """Nats per image `[B]` whose mean is trained, from the parts of a batch: of a whole one if
        `couples_images`, else of any part of it."""
        return parts["log_prob"]

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        """`_of_batch` where it is a function of each image alone; arguments of `_training_parts`.

        Returns:
          Nats per image, `[B]`.
        """
        raise NotImplementedError

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """See `LikelihoodModel.statistics`."""
        raise NotImplementedError

    def _step_seed(self) -> tf.Tensor:
        """A seed int32 `[2]` of this training step and replica, the same after a resume."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self.optimizer.iterations, tf.int32)
        return tf.stack([self.seed * 2 * _PART_SEED + replica, step])


def _sum(gradients: Sequence[tf.Tensor | None]) -> tf.Tensor | None:
    """Of those that are there."""
    found = [one for one in gradients if one is not None]
    return tf.add_n(found) if len(found) > 1 else next(iter(found), None)
