"""Units: a uniform density over images has exactly 8 bits per dimension."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood import units


@pytest.mark.parametrize("num_dims", [1, 784, 3072])
def test_uniform_density_is_8_bits_per_dim(num_dims):
    log_prob = -num_dims * np.log(256.0)
    assert units.bits_per_dim(log_prob, num_dims) == pytest.approx(8.0, rel=1e-15)


def test_arrays_and_tensors_keep_their_kind_and_come_back():
    log_prob = np.array([-10.0, -20.0])
    bits = units.bits_per_dim(log_prob, 4)
    np.testing.assert_allclose(units.log_prob_from_bits(bits, 4), log_prob)
    assert tf.is_tensor(units.bits_per_dim(tf.constant([-3.0]), 4))
