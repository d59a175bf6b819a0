"""Matrix products of a flow's own signal."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.models import products


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("size", [12, 24, 48])
def test_gradients_of_many_images_through_stacks_of_matrices_are_right(size, count):
    """Of stacks of one they ended the process, or were wrong, on processors with AMX."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(count, size, size)).astype(np.float32) for _ in range(2))
    given = rng.normal(size=(64, count, size, size)).astype(np.float32)

    @tf.function(autograph=False)
    def gradients(a, b, given):
        made = products.matmul(a, b)
        return made, tf.vectorized_map(lambda one: tf.gradients(made, [a, b], one), given)

    made, (of_a, of_b) = gradients(tf.constant(a), tf.constant(b), tf.constant(given))
    np.testing.assert_allclose(made, a @ b, atol=1e-4)
    np.testing.assert_allclose(of_a, given @ b.swapaxes(-1, -2), atol=1e-4)
    np.testing.assert_allclose(of_b, a.swapaxes(-1, -2) @ given, atol=1e-4)
