"""Keras' optimizers with one kernel for each variable, where Keras' own have about forty nodes.

The same updates to rounding, and the same variables in backups. A step of a deep flow has more
nodes in Keras' optimizer than in the model: for each variable the powers and roots of the step's
scalars, the arithmetic of the moments, clipping, and the moving average. Here scalars are computed
once for all variables, and TensorFlow's fused kernels change a variable and its moments in one go.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_ood.keras import keras

_WARM_UP = 10.0

_ALONE = types.SimpleNamespace(
    extended=types.SimpleNamespace(
        update=lambda variable, function, args, group: function(variable, *args)
    )
)

_Pairs = Sequence[tuple[tf.Tensor, tf.Variable]]
"""Gradients and what they are of."""


def _updating(strategy: tf.distribute.Strategy) -> Any:
    """What to update variables by: the strategy, if there is one. The call of the default strategy
    for each variable does nothing, and is a fifth of the time of tracing a step."""
    return strategy if tf.distribute.has_strategy() else _ALONE


class Fused(keras.optimizers.Optimizer):
    """A mixin, before one of Keras' optimizers: all that does not depend on the kind."""

    def _moments(self) -> Mapping[str, Sequence[tf.Variable]]:
        """What is kept of each variable, in their order, by the names of the kernel's arguments."""
        raise NotImplementedError

    def _constants(self, rate: tf.Tensor, step: tf.Tensor) -> Mapping[str, Any]:
        """The other arguments of the kernel at step 1, 2, ..., numbers or float32 `[]`."""
        raise NotImplementedError

    _kernel: Callable[..., Any]
    """Changes a variable and its moments, all by their handles."""

    def _distributed_apply_gradients_fn(
        self, distribution: tf.distribute.Strategy, grads_and_vars: _Pairs, **kwargs: Any
    ) -> tf.Tensor:
        rate = tf.convert_to_tensor(self.learning_rate, tf.float32)  # read once
        now = self._constants(rate, tf.cast(self.iterations + 1, tf.float32))
        # One node each, not one for each variable.
        self._now = {name: tf.convert_to_tensor(one, tf.float32) for name, one in now.items()}
        by = _updating(distribution)
        return super()._distributed_apply_gradients_fn(by, grads_and_vars, **kwargs)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Changes one variable and its moments."""
        place = self._index_dict[self._var_key(variable)]
        moments = {name: kept[place].handle for name, kept in self._moments().items()}
        self._kernel(
            var=variable.handle,
            grad=tf.convert_to_tensor(gradient),  # that of a gather is in slices
            **moments,
            **self._now,
        )

    def _clip_gradients(self, grads: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        if not self.global_clipnorm:
            return grads
        norm = tf.linalg.global_norm(grads)
        scale = self.global_clipnorm / tf.maximum(norm, self.global_clipnorm)
        # As in tf.clip_by_global_norm an infinite norm spoils everything, to be noticed.
        scale = tf.where(tf.math.is_finite(norm), scale, float("nan"))
        return [tf.convert_to_tensor(gradient) * scale for gradient in grads]

    def _update_model_variables_moving_average(self, var_list: Sequence[tf.Variable]) -> None:
        # Keras' average starts at the initial weights: at a momentum of 0.999 they weigh 37 % after
        # 1,000 steps. Here the momentum of step t = 0, 1, ... is at most (1 + t) / (10 + t):
        # about the last tenth of the steps is averaged, and after 10 steps the start weighs 1e-5
        # (the rule of tf.train.ExponentialMovingAverage). A backup has all that it depends on.
        step = tf.cast(self.iterations, tf.float32)
        rest = 1.0 - tf.minimum(self.ema_momentum, (1.0 + step) / (_WARM_UP + step))

        def update(average: tf.Variable, variable: tf.Variable) -> None:
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.handle, alpha=rest, delta=average - variable
            )

        by = _updating(self._distribution_strategy)
        for variable in var_list:
            place = self._index_dict[self._var_key(variable)]
            average = self._model_variables_moving_average[place]
            by.extended.update(average, update, args=(variable,), group=False)


class Adam(Fused, keras.optimizers.Adam):
    """Kingma & Ba, 2015."""

    _kernel = staticmethod(tf.raw_ops.ResourceApplyAdam)

    def _moments(self) -> Mapping[str, Sequence[tf.Variable]]:
        return {"m": self._momentums, "v": self._velocities}

    def _constants(self, rate: tf.Tensor, step: tf.Tensor) -> Mapping[str, Any]:
        return {**_of_moments(self, rate, step), "beta2_power": self.beta_2**step}


class Adamax(Fused, keras.optimizers.Adamax):
    """Kingma & Ba, 2015, section 7.1."""

    _kernel = staticmethod(tf.raw_ops.ResourceApplyAdaMax)

    def _moments(self) -> Mapping[str, Sequence[tf.Variable]]:
        return {"m": self._m, "v": self._u}

    def _constants(self, rate: tf.Tensor, step: tf.Tensor) -> Mapping[str, Any]:
        return _of_moments(self, rate, step)


class RMSprop(Fused, keras.optimizers.RMSprop):
    """Tieleman & Hinton, 2012; without momentum."""

    _kernel = staticmethod(tf.raw_ops.ResourceApplyRMSProp)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the variables of the optimizer."""
        is_new = not getattr(self, "_built", False)
        super().build(var_list)
        if is_new:  # the kernel keeps the last change of each variable
            self._changes = [self.add_variable_from_reference(v, "change") for v in var_list]

    def _moments(self) -> Mapping[str, Sequence[tf.Variable]]:
        return {"ms": self._velocities, "mom": self._changes}

    def _constants(self, rate: tf.Tensor, step: tf.Tensor) -> Mapping[str, Any]:
        return {"lr": rate, "rho": self.rho, "momentum": 0.0, "epsilon": self.epsilon}


def _of_moments(
    optimizer: keras.optimizers.Adam | keras.optimizers.Adamax, rate: tf.Tensor, step: tf.Tensor
) -> dict[str, Any]:
    """The constants that Adam and Adamax share."""
    return {
        "beta1_power": optimizer.beta_1**step,
        "lr": rate,
        "beta1": optimizer.beta_1,
        "beta2": optimizer.beta_2,
        "epsilon": optimizer.epsilon,
    }
