"""Averages over networks and draws."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.rotated import predict


class Fake:
    """A network that gives class k certainly at its k-th draw."""

    def __init__(self, is_stochastic, first=0):
        self.is_stochastic, self.first, self.num_draws = is_stochastic, first, 0

    def draw(self, images):
        number = self.first + self.num_draws % 2
        self.num_draws += 1
        return tf.one_hot([number] * len(images), 10)


def images(num):
    return np.zeros((num, 16, 16, 1), np.uint8)


def test_draws_are_averaged_batch_by_batch():
    network = Fake(is_stochastic=True)
    got = predict.predictive([network], images(5), num_draws=4, batch_size=2)
    assert network.num_draws == 3 * 4
    np.testing.assert_allclose(got, [[0.5, 0.5] + [0.0] * 8] * 5)


def test_fixed_networks_are_asked_once_and_averaged():
    networks = [Fake(is_stochastic=False, first=k) for k in (0, 4)]
    got = predict.predictive(networks, images(2), num_draws=50, batch_size=2)
    assert [n.num_draws for n in networks] == [1, 1]
    np.testing.assert_allclose(got[:, [0, 4]], 0.5)
    assert got.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
