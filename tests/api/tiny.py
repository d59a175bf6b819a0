"""A run that is trained from Python in seconds, on images in memory."""

import numpy as np

from tfp_ood.config import (
    Config,
    DataConfig,
    EvaluateConfig,
    ExportConfig,
    GlowConfig,
    SampleConfig,
    TrainConfig,
)

CONFIG = Config(
    data=DataConfig(
        image_shape=(8, 8, 1),
        out_of_distribution=(),
        size_change="crop",
        channel_change="convert",
    ),
    model=GlowConfig(num_levels=1, num_steps=1, num_hidden=4),
    train=TrainConfig(batch_size=8, num_steps=4, steps_per_epoch=2, warmup_steps=1),
    evaluate=EvaluateConfig(num_trajectory=0),
    export=ExportConfig(false_alarm_rate=0.25),
    sample=SampleConfig(num_images=4),
)
OWN = np.random.default_rng(0).integers(0, 64, (60, 8, 8), np.uint8)
FOREIGN = np.random.default_rng(1).integers(0, 256, (10, 8, 8, 1), np.uint8)
