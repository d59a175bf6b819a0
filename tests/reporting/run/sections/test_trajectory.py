"""Likelihood over training: the gap, since when it is there, and what cannot be told.

The section says since when, and does not let one set hide the others.
"""

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tests.reporting.run.evidence import evidence
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting.run.sections import trajectory
from tfp_ood.trajectory import scored

RNG = np.random.default_rng(0)
OWN, MNIST, NOISE = "fashion_mnist/test", "mnist/test", "noise/all"


def checkpoint(**means):
    """A checkpoint with sets whose bits/dim have these means."""
    found = {}
    for name, mean in means.items():
        split = "all" if name == "noise" else "test"
        log_prob = -12 * np.log(2) * RNG.normal(mean, 0.1, 50)
        found[f"{name}/{split}"] = scored(name, split, np.arange(50), log_prob, 12)
    return found


STEPS = {
    20: checkpoint(fashion_mnist=3, mnist=2, noise=7),
    0: checkpoint(fashion_mnist=8, mnist=8.5, noise=7),
    10: checkpoint(fashion_mnist=4, mnist=3, noise=7),
}


def test_means_and_detection_at_every_checkpoint():
    found = trajectory.trajectory(STEPS, OWN, [MNIST, NOISE])
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
    sets = trajectory.trajectory(STEPS, OWN, [MNIST, NOISE])["sets"]
    assert sets[MNIST]["prefers_from"] == 10
    # Noise is likelier at the start only.
    assert sets[NOISE]["auroc"][0] < 0.5 and sets[NOISE]["prefers_from"] is None


def test_sets_that_were_not_watched_are_left_out():
    assert list(trajectory.trajectory(STEPS, OWN, ["omniglot/test", MNIST])["sets"]) == [OWN, MNIST]
    assert trajectory.trajectory(STEPS, OWN, ["omniglot/test"]) is None
    assert trajectory.trajectory(STEPS, "omniglot/test", [MNIST]) is None
    assert trajectory.trajectory({}, OWN, [MNIST]) is None


def test_checkpoints_that_lack_a_set_or_a_number_are_left_out():
    broken = checkpoint(fashion_mnist=4, mnist=3)
    broken[MNIST].log_prob[0] = np.nan
    steps = {**STEPS, 15: checkpoint(fashion_mnist=3), 17: broken}
    assert trajectory.trajectory(steps, OWN, [MNIST])["steps"] == [0, 10, 20]


LABELS = {OWN: "FashionMNIST", MNIST: "MNIST", NOISE: "noise"}


@pytest.fixture(name="found")
def _found():
    return trajectory.trajectory(STEPS, OWN, [MNIST, NOISE])


def test_sentences(found):
    assert trajectory.sentences_of(found, LABELS) == [
        "MNIST is preferred to FashionMNIST from step 10 on, at every checkpoint; "
        "AUROC 0.00 at step 20.",
        "noise is preferred to FashionMNIST at earlier checkpoints only; AUROC 1.00 at step 20.",
    ]
    only_last = trajectory.trajectory({20: STEPS[20]}, OWN, [NOISE])
    assert "at no checkpoint" in trajectory.sentences_of(only_last, LABELS)[0]


def test_section_and_pictures(found, tmp_path):
    tables = [
        table([3.0, 4.0], "fashion_mnist"),
        table([2.0], "mnist"),
        table([7.0], "noise", "all"),
    ]
    given = evidence(tmp_path, tables, watched=STEPS)
    made = trajectory.section(given)
    assert "from step 10 on" in made.html and "50 images of each set" in made.html
    assert made.numbers == found
    assert "; the first is before any training." in made.html
    later = evidence(tmp_path, tables, watched={k: v for k, v in STEPS.items() if k})
    assert "before any training" not in trajectory.section(later).html
    png = given.workdir.report / "trajectory.png"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.with_suffix(".pdf").stat().st_size > 1000


def test_a_set_far_away_does_not_flatten_the_others(found):
    found["sets"][NOISE]["high"] = [10_000.0] * 3
    bottom, top = trajectory._limits(list(found["sets"].values()))
    own = found["sets"][OWN]
    assert bottom > max(own["high"]) and bottom < 20 and top <= min(own["low"])
