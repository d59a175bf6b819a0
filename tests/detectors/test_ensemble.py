import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.detectors import ensemble as ensembles
from tfp_ood.errors import EvaluationError


def test_mean_variance_and_waic_by_hand():
    first, second = table([1.0, 2.0], seed=0), table([3.0, 2.0], seed=1)
    found = ensembles.scores([first, second])
    a, b = first.log_prob[0], second.log_prob[0]
    assert set(found) == set(ensembles.SCORES)
    np.testing.assert_allclose(found["mean"], [-(a + b) / 2, -second.log_prob[1]])
    np.testing.assert_allclose(found["variance"], [(a - b) ** 2 / 4, 0.0], atol=1e-9)
    np.testing.assert_allclose(found["waic"], found["mean"] + found["variance"])


def test_other_images_are_refused():
    with pytest.raises(EvaluationError, match="different images of mnist/test"):
        ensembles.scores([table([1.0, 2.0]), table([1.0])])
    resized = table([1.0], preprocessing={"size_change": "resize 4x4 -> 2x2"})
    with pytest.raises(EvaluationError, match="different images"):
        ensembles.scores([table([1.0]), resized])
