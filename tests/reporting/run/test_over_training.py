"""Likelihood over training: the gap, since when it is there, and what cannot be told."""

import numpy as np
import pytest

from tfp_ood import trajectory
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting.run.over_training import over_training

RNG = np.random.default_rng(0)
OWN, MNIST, NOISE = "fashion_mnist/test", "mnist/test", "noise/all"


def checkpoint(**means):
    """A checkpoint with sets whose bits/dim have these means."""
    found = {}
    for name, mean in means.items():
        split = "all" if name == "noise" else "test"
        log_prob = -12 * np.log(2) * RNG.normal(mean, 0.1, 50)
        found[f"{name}/{split}"] = trajectory.scored(name, split, np.arange(50), log_prob, 12)
    return found


STEPS = {
    20: checkpoint(fashion_mnist=3, mnist=2, noise=7),
    0: checkpoint(fashion_mnist=8, mnist=8.5, noise=7),
    10: checkpoint(fashion_mnist=4, mnist=3, noise=7),
}


def test_means_and_detection_at_every_checkpoint():
    found = over_training(STEPS, OWN, [MNIST, NOISE])
    assert found["steps"] == [0, 10, 20] and list(found["sets"]) == [OWN, MNIST, NOISE]
    assert found["sets"][OWN]["mean"] == pytest.approx([8, 4, 3], abs=0.05)
    mnist = found["sets"][MNIST]
    for step, auroc, (low, high) in zip(
        found["steps"], mnist["auroc"], mnist["auroc_interval"], strict=True
    ):
        scores = (-STEPS[step][key].log_prob for key in (OWN, MNIST))
        assert auroc == detection_metrics(*scores)["auroc"]
        assert low <= auroc <= high
    assert "auroc" not in found["sets"][OWN]


def test_since_when_foreign_images_are_preferred():
    sets = over_training(STEPS, OWN, [MNIST, NOISE])["sets"]
    assert sets[MNIST]["prefers_from"] == 10
    # Noise is likelier at the start only.
    assert sets[NOISE]["auroc"][0] < 0.5 and sets[NOISE]["prefers_from"] is None


def test_sets_that_were_not_watched_are_left_out():
    assert list(over_training(STEPS, OWN, ["omniglot/test", MNIST])["sets"]) == [OWN, MNIST]
    assert over_training(STEPS, OWN, ["omniglot/test"]) is None
    assert over_training(STEPS, "omniglot/test", [MNIST]) is None
    assert over_training({}, OWN, [MNIST]) is None


def test_checkpoints_that_lack_a_set_or_a_number_are_left_out():
    broken = checkpoint(fashion_mnist=4, mnist=3)
    broken[MNIST].log_prob[0] = np.nan
    steps = {**STEPS, 15: checkpoint(fashion_mnist=3), 17: broken}
    assert over_training(steps, OWN, [MNIST])["steps"] == [0, 10, 20]
