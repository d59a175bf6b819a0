"""The optimizer that a config names, its schedule, and its moving average of weights."""

from collections.abc import Sequence

import tensorflow as tf

from tfp_ood.config import TrainConfig
from tfp_ood.keras import keras

_WARM_UP = 10.0  # the average is over about a tenth of the steps until then


class _SoonForgets(keras.optimizers.Optimizer):
    """A mixin: the moving average of weights does not stay at the initial ones.

    Keras starts it there, and with a momentum of 0.999 these still weigh 37 % after 1,000 steps.
    Here the momentum of step t = 0, 1, ... is (1 + t) / (10 + t) until that is more than it is to
    be: about the last tenth of the steps is averaged, and after 10 steps the start weighs 1e-5 (the
    rule of `tf.train.ExponentialMovingAverage`). It depends on the step alone, which a backup has.
    """

    def _update_model_variables_moving_average(self, var_list: Sequence[tf.Variable]) -> None:
        # Keras has no other place for it; the base class reads `ema_momentum` where it averages.
        step = tf.cast(self.iterations, tf.float32)
        last = self.ema_momentum
        self.ema_momentum = tf.minimum(last, (1.0 + step) / (_WARM_UP + step))
        try:
            super()._update_model_variables_moving_average(var_list)
        finally:
            self.ema_momentum = last


class _Adam(_SoonForgets, keras.optimizers.Adam):
    pass


class _Adamax(_SoonForgets, keras.optimizers.Adamax):
    pass


class _RMSprop(_SoonForgets, keras.optimizers.RMSprop):
    pass


_KINDS = {"adam": _Adam, "adamax": _Adamax, "rmsprop": _RMSprop}


def build(train: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a training, with its schedule, clipping and moving average of weights."""
    return _KINDS[train.optimizer](
        learning_rate=learning_rate(train),
        global_clipnorm=train.clip_norm or None,
        use_ema=train.ema_momentum > 0,
        ema_momentum=train.ema_momentum,
    )


def learning_rate(train: TrainConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate over steps, as the config says: a warm-up, then a decay."""
    if train.decay == "steps":
        ends = [int(share * train.num_steps) for share in (0.8, 0.9)]
        rates = [train.learning_rate / 3**k for k in range(3)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if train.warmup_steps else train.learning_rate,
        decay_steps=train.num_steps - train.warmup_steps,
        # The share that is left at the end: all of it makes a constant.
        alpha=1.0 if train.decay == "constant" else 0.0,
        warmup_target=train.learning_rate if train.warmup_steps else None,
        warmup_steps=train.warmup_steps,
    )
