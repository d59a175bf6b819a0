import numpy as np

from tests.evaluation.fakes import table
from tfp_ood.detectors.likelihood import Likelihood


def test_likelihood_finds_unlikely_images_foreign():
    images = table([3.0, 1.0, 2.0])
    score = Likelihood().score([images])
    np.testing.assert_array_equal(np.argsort(score), [1, 2, 0])
    np.testing.assert_array_equal(score, -images.log_prob)
