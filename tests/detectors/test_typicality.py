import numpy as np

from tests.evaluation.fakes import table
from tfp_ood.detectors.typicality import Typicality


def test_the_distance_to_the_mean_of_held_out_images():
    held_out, judged = table([1.0, 2.0, 6.0]), table([3.0, 1.0, 7.0])
    nats = -judged.log_prob[0]  # of 3 bits/dim, the mean
    score = Typicality().fit([held_out]).score([judged])
    np.testing.assert_allclose(score, [0.0, 2 / 3 * nats, 4 / 3 * nats], atol=1e-9)
