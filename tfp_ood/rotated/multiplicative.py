"""Layers whose weights have a multiplicative normalizing flow as their posterior ([1]).

    q(W) = int q(W|z) q(z) dz,    q(W|z) = prod N(W_ij; z_i M_ij, S_ij^2),    p(W) = prod N(0, s^2)

z scales the inputs of a dense layer and the filters of a convolution; q(z) is a Gaussian through
a flow of this package's couplings. Since q(W) cannot be evaluated, the bound has an auxiliary
r(z|W), which is another such flow ([1], eq. 6 and 9):

    KL(q(W) || p(W)) <= E_q(W,z)[ KL(q(W|z) || p(W)) + log q(z) - log r(z|W) ]

Biases have no posterior, as in `tfp.layers`. [1] Louizos & Welling, "Multiplicative Normalizing
Flows for Variational Bayesian Neural Networks", 2017.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.keras import keras
from tfp_ood.models.flows.bijectors import flatten_image
from tfp_ood.models.flows.couplings import AffineCoupling
from tfp_ood.rotated.config import LeNetConfig

tfb, tfd = tfp.bijectors, tfp.distributions

_START_SCALE = -3.0  # through a softplus 0.049, where `tfp.layers` start too
_TINY = 1e-8  # keeps the square root's gradient finite

Divergence = Callable[[tf.Tensor], tf.Tensor]
"""Nats of KL -> what is added to the loss."""


def coupling_flow(num_dims: int, num_couplings: int, num_hidden: int) -> tfb.Bijector:
    """A flow of vectors `[num_dims]`: affine couplings that change the two halves in turn.

    It starts as the identity.

    Args:
      num_dims: at least 2.
      num_couplings: how many.
      num_hidden: units of the hidden layer of each coupling's network.
    """
    flatten = flatten_image((1, 1, num_dims))
    couplings = []
    for number in range(num_couplings):
        keep = "first" if number % 2 == 0 else "second"
        num_changed = num_dims // 2 if keep == "first" else num_dims - num_dims // 2
        network = _CouplingNetwork(num_dims - num_changed, num_hidden, 2 * num_changed)
        couplings.append(AffineCoupling(network, keep=keep))
    return tfb.Chain([flatten, *reversed(couplings), tfb.Invert(flatten)], name="coupling_flow")


class _CouplingNetwork(keras.layers.Layer):
    """Two dense layers on the last axis; the outputs start at zero."""

    def __init__(self, num_inputs: int, num_hidden: int, num_outputs: int):
        super().__init__()
        self._hidden = keras.layers.Dense(num_hidden, activation="tanh")
        self._last = keras.layers.Dense(num_outputs, kernel_initializer="zeros")
        # Now, since r(z|W) is used in training only, and must have its weights before.
        self._hidden.build([None, num_inputs])
        self._last.build([None, num_hidden])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[..., num_inputs]` to `[..., num_outputs]`."""
        return self._last(self._hidden(inputs))


class MultiplicativeKernel(keras.layers.Layer):
    """A kernel `[..., inputs, outputs]` with its posterior q(W, z) and the auxiliary r(z|W).

    Args:
      shape: of the kernel.
      axis: of the kernel, that z belongs to: -2 for inputs, -1 for filters.
      config: `prior_scale`, s, and the sizes of the flows.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, config: LeNetConfig):
        super().__init__()
        num_z, normal = shape[axis], keras.initializers.RandomNormal
        self._axis, self._prior_scale = axis, config.prior_scale
        self._z_shape = [num_z if a == axis % len(shape) else 1 for a in range(len(shape))]
        start = keras.initializers.HeNormal()
        self.mean = self.add_weight("mean", shape, initializer=start)
        self.raw_scale = self.add_weight("raw_scale", shape, initializer=normal(_START_SCALE, 0.1))
        self._z_mean = self.add_weight("z_mean", [num_z], initializer="ones")
        self._z_raw_scale = self.add_weight(
            "z_raw_scale", [num_z], initializer=normal(_START_SCALE, 0.1)
        )
        self._q_flow = coupling_flow(num_z, config.num_couplings, config.flow_hidden)
        self._r_flow = coupling_flow(num_z, config.num_couplings, config.flow_hidden)
        for name in ("c", "b_mean", "b_log_variance"):
            start = normal(0.0, 1.0 / math.sqrt(num_z))
            setattr(self, f"_{name}", self.add_weight(name, [num_z], initializer=start))

    @property
    def scale(self) -> tf.Tensor:
        """S, in the kernel's shape."""
        return tf.math.softplus(self.raw_scale)

    def noise_distribution(self) -> tfd.Distribution:
        """q(z), of vectors."""
        base = tfd.MultivariateNormalDiag(self._z_mean, tf.math.softplus(self._z_raw_scale))
        return tfd.TransformedDistribution(base, self._q_flow)

    def posterior(self, noise: tf.Tensor) -> tfd.Distribution:
        """q(W|z) for one z `[num_z]`."""
        return tfd.Normal(self.mean * tf.reshape(noise, self._z_shape), self.scale)

    def draw(self) -> tf.Tensor:
        """A kernel out of q(W)."""
        return self.posterior(self.noise_distribution().sample()).sample()

    def auxiliary_distribution(self, kernel: tf.Tensor) -> tfd.Distribution:
        """r(z|W), of vectors, for one kernel W ([1], eq. 9 to 12).

        The base has mean `b_mean h` and log variance `b_log_variance h`, with h the mean over the
        kernel's other axes of tanh(sum_i c_i W_i).
        """
        hidden = tf.tanh(tf.tensordot(self._c, kernel, [[0], [self._axis % kernel.shape.rank]]))
        mean = tf.reduce_mean(hidden)
        scale = tf.exp(0.5 * self._b_log_variance * mean)
        base = tfd.MultivariateNormalDiag(self._b_mean * mean, scale)
        return tfd.TransformedDistribution(base, self._r_flow)

    def divergence(self) -> tf.Tensor:
        """The bound on KL(q(W) || p(W)) from one draw of z and W: nats, shape []."""
        noise, log_q = self.noise_distribution().experimental_sample_and_log_prob()
        posterior = self.posterior(noise)
        given_z = tfd.kl_divergence(posterior, tfd.Normal(0.0, self._prior_scale))
        log_r = self.auxiliary_distribution(posterior.sample()).log_prob(noise)
        return tf.reduce_sum(given_z) + log_q - log_r


class _MultiplicativeLayer(keras.layers.Layer):
    """What the two layers share.

    In training, every example has a z and noise of its own: given z, a sum of Gaussian weights
    times inputs is Gaussian ([1], section 3.2), whose mean and variance are computed instead of a
    kernel for every example. In prediction, one kernel is drawn for a batch, which is much faster.
    """

    _axis = -2

    def __init__(
        self,
        units: int,
        *window: int,
        divergence: Divergence,
        config: LeNetConfig,
        activation: str | None = None,
    ):
        super().__init__()
        self._units, self._window = units, window
        self._divergence, self._config = divergence, config
        self._activation = keras.activations.get(activation)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the kernel `[*window, inputs, units]`."""
        shape = (*self._window, int(input_shape[-1]), self._units)
        self.kernel = MultiplicativeKernel(shape, self._axis, self._config)
        self.bias = self.add_weight("bias", [self._units], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Outputs under drawn weights; in training, adds the KL to the loss."""
        if not training:
            return self._activation(self._apply(inputs, self.kernel.draw()) + self.bias)
        noise = self.kernel.noise_distribution().sample(tf.shape(inputs)[0])
        mean = self._mean(inputs, noise)
        variance = self._apply(tf.square(inputs), tf.square(self.kernel.scale))
        drawn = mean + tf.sqrt(variance + _TINY) * tf.random.normal(tf.shape(mean))
        self.add_loss(self._divergence(self.kernel.divergence()))
        return self._activation(drawn + self.bias)


class MultiplicativeDense(_MultiplicativeLayer):
    """A dense layer `[B, inputs]` to `[B, units]`; z scales its inputs ([1], algorithm 1)."""

    _apply = staticmethod(tf.matmul)

    def _mean(self, inputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return self._apply(inputs * noise, self.kernel.mean)


class MultiplicativeConv2D(_MultiplicativeLayer):
    """A convolution without padding; z scales its filters ([1], algorithm 2)."""

    _axis = -1

    def __init__(self, filters: int, kernel_size: int, **settings: Any):
        super().__init__(filters, kernel_size, kernel_size, **settings)

    def _apply(self, inputs: tf.Tensor, kernel: tf.Tensor | tf.Variable) -> tf.Tensor:
        return tf.nn.conv2d(inputs, kernel, 1, "VALID")

    def _mean(self, inputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return self._apply(inputs, self.kernel.mean) * noise[:, tf.newaxis, tf.newaxis]
