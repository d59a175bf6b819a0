import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood import detectors
from tfp_ood.errors import EvaluationError


def scores(tables):
    return {name: one.score(tables) for name, one in detectors.of_ensembles().items()}


def test_mean_disagreement_and_waic_by_hand():
    first, second = table([1.0, 2.0], seed=0), table([3.0, 2.0], seed=1)
    found = scores([first, second])
    a, b = first.log_prob[0], second.log_prob[0]
    assert {"mean", "disagreement", "waic"} <= set(found)
    np.testing.assert_allclose(found["mean"], [-(a + b) / 2, -second.log_prob[1]])
    np.testing.assert_allclose(found["disagreement"], [(a - b) ** 2 / 4, 0.0], atol=1e-9)
    np.testing.assert_allclose(found["waic"], found["mean"] + found["disagreement"])


@pytest.mark.parametrize("name", detectors.of_ensembles())
def test_other_images_are_refused(name):
    judge = detectors.DETECTORS[name]
    with pytest.raises(EvaluationError, match="different images of mnist/test"):
        judge.score([table([1.0, 2.0]), table([1.0])])
    resized = table([1.0], preprocessing={"size_change": "resize 4x4 -> 2x2"})
    with pytest.raises(EvaluationError, match="different images"):
        judge.score([table([1.0]), resized])
