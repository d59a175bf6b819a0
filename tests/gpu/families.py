"""Scoring and sampling of every family: sound, and how fast."""

import time
from collections.abc import Callable

import numpy as np

from tests.gpu import fixed, machine
from tests.gpu.table import Row
from tfp_ood import models
from tfp_ood.config import from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.families import MODEL_CONFIGS

PART = "families"
NUM_SCORED, NUM_SAMPLED = 250, {"pixel_cnn": 16}
_MOST_SAMPLED = 64
_SECONDS = 1.0
_SMOKE_IMAGES, _SMOKE_SECONDS = 4, 0.01


def model_of(family: str, smoke: bool) -> models.LikelihoodModel:
    """The small experiment of CIFAR-10, or the fixed model."""
    if smoke:
        return fixed.model(family)
    config = from_config_dict(experiment(family, "cifar10", "small"))
    model = models.build(config)
    model.initialize(fixed.images(64, config.data.image_shape))
    return model


def calls_a_second(function: Callable[[], object], seconds: float) -> float:
    """How often a function can be called, measured for about that long."""
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        function()
        calls += 1
    return calls / (time.perf_counter() - start)


def sound_scores(family: str, log_prob: np.ndarray) -> Row:
    """A row on likelihoods: numbers, and not the same for all."""
    ok = bool(np.isfinite(log_prob).all() and np.ptp(log_prob) > 0)
    found = f"{log_prob.min():,.0f} to {log_prob.max():,.0f} nats"
    return Row(PART, f"{family}: likelihoods", found, "finite, different", ok)


def sound_samples(family: str, samples: np.ndarray, again: np.ndarray) -> Row:
    """A row on samples: images that differ, the same for the same seed."""
    different = len({image.tobytes() for image in samples})
    same = bool(np.mean(samples != again) < 0.01)  # sums of another order may round otherwise
    found = f"{different} different of {len(samples)}, {'the same' if same else 'others'} again"
    return Row(
        PART, f"{family}: samples", found, "all, the same", different == len(samples) and same
    )


def prepare(smoke: bool) -> Callable[[], list[Row]]:
    """See `parts`."""
    seconds = _SMOKE_SECONDS if smoke else _SECONDS
    rows, timed = [], {}
    for family in MODEL_CONFIGS:
        model = model_of(family, smoke)
        num_scored = _SMOKE_IMAGES if smoke else NUM_SCORED
        num_sampled = _SMOKE_IMAGES if smoke else NUM_SAMPLED.get(family, _MOST_SAMPLED)
        images = fixed.images(num_scored, model.image_shape)

        def score(model=model, images=images):
            return model.log_prob(images).numpy()

        def sample(model=model, count=num_sampled):
            return model.sample(count).numpy()

        rows += [sound_scores(family, score()), sound_samples(family, sample(), sample())]
        timed[f"{family}: scoring"] = (score, num_scored)
        timed[f"{family}: sampling"] = (sample, num_sampled)

    def run() -> list[Row]:
        for what, (function, count) in timed.items():
            speed = count * calls_a_second(function, seconds)
            rows.append(Row(PART, f"{what}, batch {count}, images/s", f"{speed:,.4g}"))
        rows.append(Row(PART, "most memory", f"{machine.peak_memory_mib():,.0f} MiB"))
        return rows

    return run
