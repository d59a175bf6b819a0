"""The section on training progress says since when, and does not let one set hide the others."""

import pytest

from tests.reporting.run.test_over_training import MNIST, NOISE, OWN, STEPS
from tfp_ood.reporting.run import trajectory as training_curve
from tfp_ood.reporting.run.over_training import over_training

LABELS = {OWN: "FashionMNIST", MNIST: "MNIST", NOISE: "noise"}


@pytest.fixture(name="found")
def _found():
    return over_training(STEPS, OWN, [MNIST, NOISE])


def test_sentences(found):
    assert training_curve.sentences_of(found, LABELS) == [
        "MNIST is preferred to FashionMNIST from step 10 on, at every checkpoint; "
        "AUROC 0.00 at step 20.",
        "noise is preferred to FashionMNIST at earlier checkpoints only; AUROC 1.00 at step 20.",
    ]
    only_last = over_training({20: STEPS[20]}, OWN, [NOISE])
    assert "at no checkpoint" in training_curve.sentences_of(only_last, LABELS)[0]


def test_section_and_pictures(found, tmp_path):
    paths = [tmp_path / "progress.png", tmp_path / "progress.pdf"]
    text = training_curve.section(found, LABELS, paths)
    assert "from step 10 on" in text and "50 images of each set" in text
    assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[1].stat().st_size > 1000


def test_a_set_far_away_does_not_flatten_the_others(found):
    found["sets"][NOISE]["high"] = [10_000.0] * 3
    bottom, top = training_curve._limits(list(found["sets"].values()))
    own = found["sets"][OWN]
    assert bottom > max(own["high"]) and bottom < 20 and top <= min(own["low"])
