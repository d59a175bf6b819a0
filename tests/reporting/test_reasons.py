import numpy as np
import pytest

from tfp_ood.detectors.guard import Judgement
from tfp_ood.reporting import reasons


def judgement(flagged, **fired):
    flagged = np.array(flagged, bool)
    sides = {name: np.array(values, np.int8) for name, values in fired.items()}
    return Judgement(flagged * 1.0, 1.0 - flagged, flagged, flagged, sides)


GIVEN = judgement([1, 1, 1, 0], complexity=[1, 1, 0, 1], log_prob=[-1, 0, -1, 1], density=[0] * 4)


def test_reasons_of_an_image():
    assert reasons.of_image(GIVEN, 0) == ["unusual input complexity", "too likely"]
    assert reasons.of_image(GIVEN, 3) == ["unusual input complexity", "too unlikely"]
    assert reasons.of_image(judgement([1], density=[0]), 0) == []


def test_the_main_reason_is_that_of_most_flagged_images():
    words, share = reasons.main(GIVEN)
    assert words == "unusual input complexity" and share == pytest.approx(2 / 3)
    assert reasons.main(judgement([0, 0], density=[1, 1])) is None
    assert reasons.main(judgement([1, 1], density=[0, 0])) == ("all together", 1.0)


def test_shares_are_of_all_images():
    found = reasons.shares(GIVEN)
    assert found["log_prob"] == {"too_high": 0.25, "too_low": 0.5}


def test_many_reasons_are_counted():
    assert reasons.wrapped(["a", "b"], 2) == ["a", "b"]
    assert reasons.wrapped(["a", "b", "c", "d"], 2) == ["a", "b", "and 2 more"]
