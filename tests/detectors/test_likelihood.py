import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.detectors import SCORES


@pytest.mark.parametrize("name", SCORES)
def test_one_finite_number_per_image(name):
    score = SCORES[name](table([1.0, 2.0, 3.0]))
    assert score.shape == (3,)
    assert score.dtype == np.float64
    assert np.all(np.isfinite(score))


def test_likelihood_finds_unlikely_images_foreign():
    images = table([3.0, 1.0, 2.0])
    score = SCORES["log_prob"](images)
    np.testing.assert_array_equal(np.argsort(score), [1, 2, 0])
    np.testing.assert_array_equal(score, -images.log_prob)
