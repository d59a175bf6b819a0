"""LeNet, plain and Bayesian: one architecture, five kinds of weights.

conv 5x5 - pool - conv 5x5 - pool - dense - dense, with ReLU ([1], section 4).
[1] Louizos & Welling, "Multiplicative Normalizing Flows for Variational Bayesian Neural Networks",
2017. [2] Gal & Ghahramani, "Dropout as a Bayesian Approximation", 2016. [3] Wen et al., "Flipout",
2018. [4] Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using
Deep Ensembles", 2017.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.keras import keras
from tfp_ood.rotated.config import NUM_CLASSES, LeNetConfig
from tfp_ood.rotated.multiplicative import Divergence, MultiplicativeConv2D, MultiplicativeDense

tfd = tfp.distributions

KINDS = ("softmax", "dropout", "flipout", "mnf")
"""Kinds of networks; an ensemble ([4]) is several of the first kind."""

BAYESIAN = ("flipout", "mnf")
"""Kinds whose weights have a posterior, and whose loss holds its KL."""

_KERNEL_SIZE = 5
_NUM_GRAY_LEVELS = 255.0


class LeNet(keras.Model):
    """Logits `[B, 10]` of uint8 images `[B, H, W, 1]`.

    The loss to compile with is the cross-entropy per image; `losses` hold the rest of minus the
    evidence lower bound per image, KL / N, times `kl_weight`.

    Args:
      kind: one of `KINDS`.
      config: sizes and priors.
      image_shape: (H, W, 1).
      num_examples: N, training images.
    """

    def __init__(
        self, kind: str, config: LeNetConfig, image_shape: tuple[int, int, int], num_examples: int
    ):
        super().__init__()
        self.is_stochastic = kind != "softmax"
        self.kl_weight = tf.Variable(1.0, trainable=False, name="kl_weight")
        conv, dense = _makers(kind, config, lambda kl: self.kl_weight * kl / num_examples)
        # Not a keras.Sequential, which calls its layers in graphs of its own, where KLs get lost.
        self._stack = [
            keras.layers.Rescaling(1.0 / _NUM_GRAY_LEVELS),
            conv(config.num_filters[0], _KERNEL_SIZE, activation="relu"),
            keras.layers.MaxPooling2D(),
            conv(config.num_filters[1], _KERNEL_SIZE, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            *_dropout(kind, config),
            dense(config.num_hidden, activation="relu"),
            *_dropout(kind, config),
            dense(NUM_CLASSES),
        ]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*add_variable")  # of `tfp.layers`
            self(tf.zeros([1, *image_shape], tf.uint8))  # makes all variables
        # Class probabilities `[B, 10]` of uint8 images `[B, H, W, 1]` under one draw of weights, or
        # under the only ones. Dropout stays on ([2]); the other kinds draw in any case. Compiled: a
        # draw of the multiplicative flows takes a third of the time.
        self.draw = tf.function(
            lambda images: tf.nn.softmax(self(images, training=kind == "dropout")),
            input_signature=[tf.TensorSpec([None, *image_shape], tf.uint8)],
            autograph=False,
        )

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Logits of one draw of weights; Keras tells the layers of `training`."""
        hidden = images
        for layer in self._stack:
            hidden = layer(hidden)
        return hidden

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(v.shape)) for v in self.trainable_variables)


def _dropout(kind: str, config: LeNetConfig) -> list[keras.layers.Layer]:
    return [keras.layers.Dropout(config.dropout_rate)] if kind == "dropout" else []


def _makers(kind: str, config: LeNetConfig, divergence: Divergence) -> list[Callable]:
    """Functions that make convolutions and dense layers of a kind."""
    if kind == "flipout":
        layers = tfp.layers.Convolution2DFlipout, tfp.layers.DenseFlipout
        return [
            functools.partial(_flipout, layer, config.prior_scale, divergence) for layer in layers
        ]
    if kind == "mnf":
        layers = MultiplicativeConv2D, MultiplicativeDense
        settings = {"divergence": divergence, "config": config}
    else:
        layers = keras.layers.Conv2D, keras.layers.Dense
        settings = {"kernel_regularizer": keras.regularizers.L2(config.weight_decay)}
    return [functools.partial(layer, **settings) for layer in layers]


def _flipout(
    layer: type[keras.layers.Layer],
    prior_scale: float,
    divergence: Divergence,
    size: int,
    *args: Any,
    **kwargs: Any,
) -> keras.layers.Layer:
    """A layer of `tfp.layers` with Gaussian posterior and prior ([3])."""
    # Each layer has initializers of its own: Keras warns of those that are used again.
    normal, posterior = keras.initializers.RandomNormal, tfp.layers.default_mean_field_normal_fn
    return layer(
        size,
        *args,
        kernel_posterior_fn=posterior(
            loc_initializer=normal(0.0, 0.1), untransformed_scale_initializer=normal(-3.0, 0.1)
        ),
        kernel_prior_fn=lambda dtype, shape, *_: tfd.Independent(
            tfd.Normal(tf.zeros(shape, dtype), prior_scale), len(shape)
        ),
        kernel_divergence_fn=lambda q, p, _: divergence(tfd.kl_divergence(q, p)),
        bias_posterior_fn=posterior(is_singular=True, loc_initializer=keras.initializers.Zeros()),
        **kwargs,
    )
