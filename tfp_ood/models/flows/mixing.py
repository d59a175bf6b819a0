"""Learned mixes of a pixel's channels, of Kingma & Dhariwal, "Glow", 2018, section 3.2 [1]."""

from collections.abc import Hashable, Sequence
from typing import Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.models import folding, products
from tfp_ood.models.flows.bijectors import ActNorm, ImageBijector, num_pixels

tfb = tfp.bijectors


class InvertibleConv1x1(ImageBijector):
    """A learned linear mix of the channels of each pixel ([1], section 3.2).

    The matrix is `P L (U + diag(sign * exp(log_diagonal)))` with P and sign fixed, started at a
    random rotation. The diagonal as an exponential cannot reach zero, whatever the optimizer does.
    """

    def __init__(self, num_channels: int, seed: int, dtype: tf.DType = tf.float32):
        super().__init__(dtype)
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=[num_channels] * 2))
        lower_upper, permutation = tf.linalg.lu(rotation)
        diagonal = np.diag(lower_upper)
        identity = np.eye(num_channels)
        self._permutation = tf.constant(identity[:, permutation], dtype)
        self._inverse_permutation = tf.constant(identity[permutation], dtype)
        self._sign = tf.constant(np.sign(diagonal), dtype)
        self._below = tf.constant(np.tril(np.ones_like(identity), -1), dtype)
        self._above = tf.constant(np.triu(np.ones_like(identity), 1), dtype)
        self._identity = tf.constant(identity, dtype)
        self.lower = tf.Variable(tf.cast(np.tril(lower_upper, -1), dtype), name="lower")
        self.upper = tf.Variable(tf.cast(np.triu(lower_upper, 1), dtype), name="upper")
        log_diagonal = tf.cast(np.log(np.abs(diagonal)), dtype)
        self.log_diagonal = tf.Variable(log_diagonal, name="log_diagonal")

    def matrix(self) -> tf.Tensor:
        """The matrix W `[C, C]`; a pixel's channels c become `c @ W`."""
        return self.matrices([self])[0]

    @staticmethod
    def matrices(convolutions: Sequence["InvertibleConv1x1"]) -> tf.Tensor:
        """Those of some convolutions of as many channels, `[N, C, C]`."""
        lower, upper = _factors(convolutions)
        permutations = tf.stack([one._permutation for one in convolutions])
        return products.matmul(permutations, products.matmul(lower, upper))

    @staticmethod
    def inverse_matrices(convolutions: Sequence["InvertibleConv1x1"]) -> tf.Tensor:
        """The inverses of W of some convolutions, `[N, C, C]`, by two triangular solves."""
        lower, upper = _factors(convolutions)
        permutations = tf.stack([one._inverse_permutation for one in convolutions])
        inverse = products.triangular_solve(lower, permutations, lower=True)
        return products.triangular_solve(upper, inverse, lower=False)

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        """`log|det dy/dx|` for images of the size of `x`, shape `[]`."""
        return num_pixels(x) * tf.reduce_sum(self.log_diagonal)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return mix_channels(x, self.matrix()), self.log_det(x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return mix_channels(y, self.inverse_matrices([self])[0]), -self.log_det(y)


def _factors(convolutions: Sequence[InvertibleConv1x1]) -> tuple[tf.Tensor, tf.Tensor]:
    """L and U + diagonal of each, `[N, C, C]`."""

    def stacked(name: str) -> tf.Tensor:
        return tf.stack([getattr(one, name) for one in convolutions])

    first = convolutions[0]
    lower = stacked("lower") * first._below + first._identity
    diagonal = stacked("_sign") * tf.exp(stacked("log_diagonal"))
    upper = stacked("upper") * first._above + first._identity * diagonal[:, tf.newaxis]
    return lower, upper


class NormalizedConv1x1(ImageBijector):
    """An `ActNorm` followed by an `InvertibleConv1x1`, folded into one pass over the image.

    `((x + b) * s) @ W = x @ (s[:, None] * W) + (b * s) @ W`
    """

    def __init__(self, actnorm: ActNorm, conv: InvertibleConv1x1):
        super().__init__(actnorm.dtype)
        self.actnorm = actnorm
        self.conv = conv
        self.inverse_weights = _Inverse(self)

    def initialize(self, x: tf.Tensor) -> None:
        """Fits the actnorm to the images `x` `[B, H, W, C]`."""
        self.actnorm.initialize(x)

    @property
    def fold_key(self) -> Hashable:
        """The number of channels, and their type."""
        return self.actnorm.bias.shape[0], self.dtype

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> list[folding.Folded]:
        """A matrix `[C, C]`, a bias `[C]`, and the log-det of a pixel `[]`."""
        log_scales = tf.stack([one.actnorm.log_scale for one in layers])
        biases = tf.stack([one.actnorm.bias for one in layers])
        matrices = InvertibleConv1x1.matrices([one.conv for one in layers])
        matrices *= tf.exp(log_scales)[:, :, tf.newaxis]
        biases = products.matmul(biases[:, tf.newaxis], matrices)[:, 0]
        log_dets = tf.reduce_sum(
            log_scales + tf.stack([one.conv.log_diagonal for one in layers]), 1
        )
        return list(zip(*map(tf.unstack, (matrices, biases, log_dets)), strict=True))

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        """`log|det dy/dx|` for images of the size of `x`, shape `[]`."""
        return self.actnorm.log_det(x) + self.conv.log_det(x)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        matrix, bias, log_det = folding.of(self)
        return mix_channels(x, matrix, bias), num_pixels(x) * log_det

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (matrix,) = folding.of(self.inverse_weights)
        return mix_channels(y, matrix, -self.actnorm.bias), -self.log_det(y)


class _Inverse:
    """What the inverse of a `NormalizedConv1x1` computes with.

    Not a part of the model, whose likelihoods do without.
    """

    def __init__(self, mix: NormalizedConv1x1):
        self.mix = mix

    @property
    def fold_key(self) -> Hashable:
        """That of what is undone."""
        return self.mix.fold_key

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> list[folding.Folded]:
        """A matrix `[C, C]` that undoes product and scale; the bias of the actnorm is left."""
        log_scales = tf.stack([one.mix.actnorm.log_scale for one in layers])
        matrices = InvertibleConv1x1.inverse_matrices([one.mix.conv for one in layers])
        return [(one,) for one in tf.unstack(matrices * tf.exp(-log_scales)[:, tf.newaxis])]


def inverses(bijector: tfb.Bijector) -> list[folding.Foldable]:
    """What the inverse of a composition computes with and can share between parts of a batch."""
    parts = (part for part in bijector.submodules if isinstance(part, NormalizedConv1x1))
    return [part.inverse_weights for part in parts]


def mix_channels(x: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Every pixel's channels times a matrix `[C, C]`, plus a bias `[C]`: a 1x1 convolution.

    As a matrix product, which costs half of a convolution's time at these sizes.
    """
    y = products.matmul(tf.reshape(x, [-1, x.shape[-1]]), matrix)
    y = y if bias is None else tf.nn.bias_add(y, bias)
    return tf.reshape(y, [-1, *x.shape[1:]])
