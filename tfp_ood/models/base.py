"""What every family of models promises: `LikelihoodModel`."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import units
from tfp_ood.errors import UserError
from tfp_ood.keras import keras


class UninitializedError(UserError):
    """A model was asked for likelihoods before `initialize`, or before weights were loaded."""


class LikelihoodModel(keras.Model):
    """A model of uint8 images `[B, H, W, C]` that tells their log-likelihood.

    Scaling and dequantization happen inside; `log_prob` is of the discrete image, in nats per
    image, so that families compare. Subclasses define `_training_log_prob`, `_scores`, `_samples`
    and, where the start of training depends on data, `_initialize`; they call `_finish_build`
    at the end of their constructor.

    Args:
      image_shape: (H, W, C).
      seed: of initial weights and of all noise.
    """

    log_prob_kind = "exact"
    """`exact`, or `bound` where `log_prob` is a lower bound."""

    def __init__(self, image_shape: tuple[int, int, int], seed: int = 0):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.num_dims = int(np.prod(image_shape))
        self.seed = seed
        self._initialized = tf.Variable(False, trainable=False, name="initialized")
        self._bits_per_dim = keras.metrics.Mean("bits_per_dim")

    def initialize(self, images: Any) -> None:
        """Sets the weights that depend on data. Called once, with training images, before `fit`.

        Args:
          images: uint8 `[B, H, W, C]`.
        """
        self._initialize(self._checked(images))
        self._initialized.assign(True)

    def statistics(self, images: Any, num_draws: int = 1) -> dict[str, tf.Tensor]:
        """What the model tells of each image; a pure function of the image, whatever the batch.

        Args:
          images: uint8 `[B, H, W, C]`.
          num_draws: S, noise draws to average over in log space, where the model needs any.

        Returns:
          float32 `[B]` each, nats per image: `log_prob` and, for flows, its two terms
          `log_prob_latent` and `log_det`.

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
          ValueError: images of another type or shape.
        """
        images = self._checked(images)
        self._require_initialized()
        return self._compiled_scores(num_draws)(images)

    def log_prob(self, images: Any, num_draws: int = 1) -> tf.Tensor:
        """Log-likelihood of uint8 images `[B, H, W, C]`: nats per image, float32 `[B]`."""
        return self.statistics(images, num_draws)["log_prob"]

    def sample(self, num_images: int, seed: int = 0, temperature: float = 1.0) -> tf.Tensor:
        """Images drawn from the model, uint8 `[num_images, H, W, C]`; the same for the same seed.

        Args:
          num_images: how many.
          seed: of the draw.
          temperature: scale of the latent's standard deviation; below 1 for likelier images.

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
        """
        self._require_initialized()
        return self._compiled_samples(
            tf.constant(num_images), tf.constant([seed, 0]), tf.constant(temperature, tf.float32)
        )

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """`log_prob` of a batch, for Keras."""
        return self._scores(images, 1)["log_prob"]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The one metric, bits/dim, that Keras resets at every epoch."""
        return [self._bits_per_dim]

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step on the mean bits/dim of `batch["image"]`."""
        images = batch["image"]
        with tf.GradientTape() as tape:
            log_prob = self._training_log_prob(images, batch.get("label"), self._step_seed())
            bits = tf.reduce_mean(units.bits_per_dim(log_prob, self.num_dims))
            # Gradients of replicas are summed.
            loss = bits / tf.distribute.get_strategy().num_replicas_in_sync
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self._bits_per_dim.update_state(bits, sample_weight=tf.shape(images)[0])
        return {"bits_per_dim": self._bits_per_dim.result()}

    def test_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Bits/dim of a batch as evaluation measures it, with one noise draw."""
        bits = units.bits_per_dim(self._scores(batch["image"], 1)["log_prob"], self.num_dims)
        self._bits_per_dim.update_state(bits)
        return {"bits_per_dim": self._bits_per_dim.result()}

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(v.shape)) for v in self.trainable_variables)

    def _finish_build(self) -> None:
        """Makes all variables, and the compiled functions, before anything is trained or loaded."""
        self._scores(tf.zeros([1, *self.image_shape], tf.uint8), 1)
        self.built = True
        self._compiled_scores = functools.cache(self._compile_scores)
        self._compiled_samples = tf.function(
            self._samples,
            input_signature=[
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([2], tf.int32),
                tf.TensorSpec([], tf.float32),
            ],
        )

    def _compile_scores(self, num_draws: int) -> Callable[[Any], dict[str, tf.Tensor]]:
        """`_scores` with a given number of draws, traced once for any number of images."""
        spec = tf.TensorSpec([None, *self.image_shape], tf.uint8)
        return tf.function(
            lambda images: self._scores_in_halves(images, num_draws),
            input_signature=[spec],
            autograph=False,
        )

    def _scores_in_halves(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """`_scores`, on CPUs for two halves of the batch side by side.

        Where an operation on one half is too small for all cores, the other half's fill them:
        about a tenth faster for small networks.
        """
        if tf.config.list_logical_devices("GPU"):
            return self._scores(images, num_draws)
        score = tf.function(lambda half: self._scores(half, num_draws), autograph=False)
        # For an odd number the halves overlap in one image: kernels refuse empty batches.
        num_images = tf.shape(images)[0]
        half = (num_images + 1) // 2
        first, second = score(images[:half]), score(images[num_images - half :])
        overlap = 2 * half - num_images
        return {name: tf.concat([first[name], second[name][overlap:]], 0) for name in first}

    def _initialize(self, images: tf.Tensor) -> None:
        """For families whose start does not depend on data: nothing."""

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        """Nats per image `[B]` whose mean is trained.

        Args:
          images: uint8 `[B, H, W, C]`.
          labels: int64 `[B]`, for families that are conditioned on classes.
          seed: int32 `[2]`, of the step's noise.
        """
        raise NotImplementedError

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """See `statistics`."""
        raise NotImplementedError

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """See `sample`."""
        raise NotImplementedError

    def _step_seed(self) -> tf.Tensor:
        """A seed int32 `[2]` of this training step and replica, the same after a resume."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self.optimizer.iterations, tf.int32)
        return tf.stack([self.seed * 1024 + replica, step])

    def _checked(self, images):
        images = tf.convert_to_tensor(images)
        fits = images.shape.rank == 4 and images.shape[1:] == self.image_shape and len(images) > 0
        if images.dtype != tf.uint8 or not fits:
            raise ValueError(
                f"images: got {images.dtype.name} {list(images.shape)}; valid is uint8 "
                f"[B, {', '.join(map(str, self.image_shape))}] with B of at least 1."
            )
        return images

    def _require_initialized(self):
        if not self._initialized:
            raise UninitializedError(
                "This model has seen no data: its likelihoods mean nothing. Call initialize() with "
                "training images and train it, or load trained weights."
            )
