"""What every family of models promises: `LikelihoodModel`."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_ood import devices
from tfp_ood.errors import UserError
from tfp_ood.models import folding, gradients, products
from tfp_ood.models.halves import Part, in_halves
from tfp_ood.models.steps import SteppedModel

_MOST_DRAWN = 256
_PIXELS_DRAWN = 2**18
"""Images, and pixels of all of them, that are drawn at once."""

_GRADIENT_BATCH = 64
_GRADIENT_NUMBERS = 2**27
"""Images, and numbers in the gradients of all of them, that are computed at once: 512 MiB, and as
much again for what they are made of on the way."""


class UninitializedError(UserError):
    """A model was asked for likelihoods before `initialize`, or before weights were loaded."""


class LikelihoodModel(SteppedModel):
    """A model of uint8 images `[B, H, W, C]` that tells their log-likelihood.

    Scaling and dequantization happen inside; `log_prob` is of the discrete image, in nats per
    image, so that families compare. Subclasses define `_training_log_prob`, `_scores`, `_samples`,
    `_differentiable` and, where the start of training depends on data, `_initialize`; they call
    `_finish_build` at the end of their constructor.

    Args:
      image_shape: (H, W, C).
      seed: of initial weights and of all noise.
    """

    log_prob_kind = "exact"
    """`exact`, or `bound` where `log_prob` is a lower bound."""

    terms: tuple[str, ...] = ()
    """Names of the statistics, if any, that add up to `log_prob`."""

    quick_samples = False
    """Whether a few samples take no longer than a few steps, so that training can show some."""

    def __init__(self, image_shape: tuple[int, int, int], seed: int = 0):
        super().__init__(image_shape, int(np.prod(image_shape)), seed)
        devices.keep_float32()
        self._initialized = tf.Variable(False, trainable=False, name="initialized")

    def initialize(self, images: Any) -> None:
        """Sets the weights that depend on data. Called once, with training images, before `fit`.

        Args:
          images: uint8 `[B, H, W, C]`.
        """
        self._initialize(self._checked(images))
        self._initialized.assign(True)

    @property
    def moments(self) -> list[tf.Variable]:
        """What batch normalization has seen of the layers before it; none in most families."""
        return []

    def estimate_moments(self, images: Any) -> None:
        """Sets `moments` to those of the weights as they are.

        Batch normalization learns them while weights change. Others, such as their moving average,
        have moments of their own: without them likelihoods are those of no model.

        Args:
          images: of the training set, uint8 `[B, H, W, C]`.
        """
        if self.moments:
            self._estimate_moments(self._checked(images))

    def statistics(self, images: Any, num_draws: int = 1) -> dict[str, tf.Tensor]:
        """What the model tells of each image; a pure function of the image, whatever the batch.

        Args:
          images: uint8 `[B, H, W, C]`.
          num_draws: S, noise draws to average over in log space, where the model needs any.

        Returns:
          float32 `[B]` each, nats per image: `log_prob`, its `terms`, and what else the family
          has to say.

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
          ValueError: images of another type or shape.
        """
        return self.scoring_function(num_draws)(self._checked(images))

    def log_prob(self, images: Any, num_draws: int = 1) -> tf.Tensor:
        """Log-likelihood of uint8 images `[B, H, W, C]`: nats per image, float32 `[B]`.

        That of `statistics`, without the time that the others take.
        """
        self._require_initialized()
        return self._compiled_log_prob(num_draws)(self._checked(images))

    def gradient_statistics(self, images: Any) -> dict[str, tf.Tensor]:
        """How steep the log-likelihood of each image is; of noise draw 0, where there is noise.

        A function of the image alone, as `statistics`, at the cost of some more of them. What
        memory it takes has a bound, whatever the number of images.

        Args:
          images: uint8 `[B, H, W, C]`.

        Returns:
          float32 `[B]` each, never infinite:
          log_gradient_norm.input: log |d log p / d x|, with x in pixel values as
            `_differentiable` says.
          log_gradient.TENSOR: log |d log p / d theta|^2 for each tensor of trained parameters
            (`gradients.names`).

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
          ValueError: images of another type or shape.
        """
        self._require_initialized()
        images = self._checked(images)
        size = max(2, min(_GRADIENT_BATCH, _GRADIENT_NUMBERS // self.num_parameters()))
        starts = range(0, len(images), size)
        parts = [self._compiled_gradients(images[start : start + size]) for start in starts]
        by_pixels, *others = tf.unstack(
            tf.concat([part["log_squares"] for part in parts], 0), axis=1
        )
        named = zip(self._gradient_names(), others, strict=True)
        return {
            "log_gradient_norm.input": 0.5 * by_pixels,
            **{f"log_gradient.{name}": values for name, values in named},
        }

    def sample(self, num_images: int, seed: int = 0, temperature: float = 1.0) -> tf.Tensor:
        """Images drawn from the model, uint8 `[num_images, H, W, C]`; the same for the same seed.

        What memory it takes, beyond that of the images, does not grow with their number.

        Args:
          num_images: how many.
          seed: of the draw.
          temperature: scale of the latent's standard deviation; below 1 for likelier images.

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
        """
        draw, factor = self.sampling_function(), tf.constant(temperature, tf.float32)
        height, width, _ = self.image_shape
        most = max(1, min(_MOST_DRAWN, _PIXELS_DRAWN // (height * width)))
        sizes = [min(most, num_images - start) for start in range(0, max(1, num_images), most)]
        parts = [
            draw(tf.constant(size), tf.constant([seed, part]), factor)
            for part, size in enumerate(sizes)
        ]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 0)

    def scoring_function(
        self, num_draws: int = 1, leaves: bool = False
    ) -> Callable[[Any], dict[str, tf.Tensor]]:
        """`statistics` as a `tf.function` of any number of images, at least 1: for other graphs.

        Args:
          num_draws: see `statistics`.
          leaves: whether the graph is for other processes, which may compute in TensorFloat-32
            (`products`).

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
        """
        self._require_initialized()
        return self._compiled_scores(num_draws, leaves)

    def sampling_function(self, leaves: bool = False) -> Callable[[Any, Any, Any], tf.Tensor]:
        """`sample` as a `tf.function` of num_images int32 `[]`, seed int32 `[2]` (that of `sample`,
        then the number of the part, 0 for the first) and temperature float32 `[]`.

        Args:
          leaves: see `scoring_function`.

        Raises:
          UninitializedError: neither `initialize`d nor loaded.
        """
        self._require_initialized()
        return self._compiled_samples(leaves)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """`log_prob` of a batch, for Keras."""
        return self._scores(images, 1)["log_prob"]

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(v.shape)) for v in self.trainable_variables)

    def _finish_build(self) -> None:
        """Makes all variables, and the compiled functions, before anything is trained or loaded."""
        self._make_variables(tf.zeros([1, *self.image_shape], tf.uint8))
        # Not a list, which Keras would save, and call all weights by.
        self._foldable = functools.cache(lambda: folding.foldable(self))
        self.built = True
        self._compiled_scores = functools.cache(self._compile_scores)
        self._compiled_log_prob = functools.cache(self._compile_log_prob)
        self._gradient_names = functools.cache(lambda: gradients.names(self))
        self._compiled_gradients = tf.function(
            lambda images: in_halves(self._gradients, {"image": images}),
            input_signature=[tf.TensorSpec([None, *self.image_shape], tf.uint8)],
            autograph=False,
        )
        self._compiled_samples = functools.cache(self._compile_samples)

    def _make_variables(self, images: tf.Tensor) -> None:
        """Has every layer see an image; families override it where less than a score does."""
        self._scores(images, 1)

    def _compile_scores(
        self, num_draws: int, leaves: bool
    ) -> Callable[[Any], dict[str, tf.Tensor]]:
        """See `scoring_function`; traced once for any number of images."""

        def scores(images: tf.Tensor) -> dict[str, tf.Tensor]:
            with products.in_float64(leaves), self._folded_once():
                return in_halves(
                    lambda part, number: self._scores(part["image"], num_draws), {"image": images}
                )

        spec = tf.TensorSpec([None, *self.image_shape], tf.uint8)
        return tf.function(scores, input_signature=[spec], autograph=False)

    def _compile_log_prob(self, num_draws: int) -> Callable[[Any], tf.Tensor]:
        """See `log_prob`; of the traced graph of `statistics` what it takes."""
        scores = self._compiled_scores(num_draws, False)
        spec = tf.TensorSpec([None, *self.image_shape], tf.uint8)
        return tf.function(
            lambda images: scores(images)["log_prob"], input_signature=[spec], autograph=False
        )

    def _log_prob_of_batch(self, batch: Part) -> tf.Tensor:
        """From the traced graph of `statistics`; XLA and several replicas get one of their own."""
        if self.jit_compile or tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return super()._log_prob_of_batch(batch)
        return self._compiled_scores(1, False)(batch["image"])["log_prob"]

    def _compile_samples(self, leaves: bool) -> Callable[[Any, Any, Any], tf.Tensor]:
        """See `sampling_function`."""

        def samples(num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
            with products.in_float64(leaves):
                return self._samples(num_images, seed, temperature)

        kinds = [([], tf.int32), ([2], tf.int32), ([], tf.float32)]
        signature = [tf.TensorSpec(*kind) for kind in kinds]
        return tf.function(samples, input_signature=signature, autograph=False)

    def _initialize(self, images: tf.Tensor) -> None:
        """For families whose start does not depend on data: nothing."""

    def _estimate_moments(self, images: tf.Tensor) -> None:
        """See `estimate_moments`; for families with `moments`."""
        raise NotImplementedError

    def _differentiable(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What is differentiated of uint8 images `[B, H, W, C]`, with noise draw 0 if any.

        Returns:
          The pixel values that log_prob is differentiated with respect to, float32
          `[B, H, W, C]`, and log_prob `[B]`: computed from them, without loops.
        """
        raise NotImplementedError

    def _gradients(self, part: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
        """The logarithm of the squared length of each gradient, that by pixels first, `[B, 1 + V]`:
        as one tensor, which halves take apart and join at once. For `in_halves`."""
        pixels, log_prob = self._differentiable(part["image"])
        variables = self.trainable_variables
        found, by_pixels = gradients.per_image(log_prob, part["image"], variables, [pixels])
        return {"log_squares": gradients.log_squared_norms([*by_pixels, *found])}

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """See `sample`."""
        raise NotImplementedError

    def _checked(self, images: Any) -> tf.Tensor:
        images = tf.convert_to_tensor(images)
        fits = images.shape.rank == 4 and images.shape[1:] == self.image_shape and len(images) > 0
        if images.dtype != tf.uint8 or not fits:
            raise ValueError(
                f"images: got {images.dtype.name} {list(images.shape)}; valid is uint8 "
                f"[B, {', '.join(map(str, self.image_shape))}] with B of at least 1."
            )
        return images

    def _require_initialized(self) -> None:
        if not self._initialized:
            raise UninitializedError(
                "This model has seen no data: its likelihoods mean nothing. Call initialize() with "
                "training images and train it, or load trained weights."
            )
