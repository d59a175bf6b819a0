"""The optimizer that a config names, its schedule, and its moving average of weights."""

from tfp_ood.config import TrainConfig
from tfp_ood.keras import keras
from tfp_ood.training import fused


def build(train: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a training, with its schedule, clipping and moving average of weights."""
    kinds = {"adam": fused.Adam, "adamax": fused.Adamax, "rmsprop": fused.RMSprop}
    return kinds[train.optimizer](
        learning_rate=learning_rate(train),
        global_clipnorm=train.clip_norm or None,
        use_ema=train.ema_momentum > 0,
        ema_momentum=train.ema_momentum,
        ema_overwrite_frequency=None,  # RMSprop's own would put the average in place of the weights
        jit_compile=False,  # there is nothing to compile in one kernel
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
