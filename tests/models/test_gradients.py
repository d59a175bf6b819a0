"""Each image's gradients, one operation at a time; of whole models see the contract."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.models import gradients

RNG = np.random.default_rng(0)
CONVOLUTIONS = {
    "stride": ("conv", {"strides": 2, "padding": "SAME"}),
    "padding": ("conv", {"strides": [1, 2, 1, 1], "padding": [[0, 0], [2, 1], [0, 3], [0, 0]]}),
    "valid": ("conv", {"strides": 1, "padding": "VALID"}),
    "dilation": ("conv", {"strides": 1, "padding": "SAME", "dilations": 2}),
    "transposed": ("transposed", {"strides": 2, "padding": "SAME"}),
}
FUNCTIONS = {
    "difference": lambda x, w: w[0] - (x - w),
    "product": lambda x, w: x * tf.stack([w, w**2, w, w]) + w[:1] * x,
    "quotients": lambda x, w: w / (4.0 + x) + x / (4.0 + w),
    "squared_difference": lambda x, w: tf.math.squared_difference(w, x),
    "matmul_transposed": lambda x, w: tf.matmul(
        tf.reshape(x, [-1, 3]), tf.stack([w, w**2]), transpose_b=True
    ),
    "batch_matmul": lambda x, w: tf.matmul(x, tf.stack([w, w**2], 1)),
}


def check(function, x, w):
    """Compares with the Jacobian, computed an image at a time."""
    variable = tf.Variable(w)

    def log_prob(x):
        return tf.reduce_sum(tf.reshape(tf.sin(function(x, variable)), [tf.shape(x)[0], -1]), -1)

    @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]])], autograph=False)
    def found(x):
        return gradients.per_image(log_prob(x), x, [variable], [x])

    (by_variable,), (by_input,) = found(x)
    for i in range(len(x)):
        with tf.GradientTape() as tape:
            image = tf.constant(x[i : i + 1])
            tape.watch(image)
            own = log_prob(image)
        expected = tape.gradient(own, [variable, image], unconnected_gradients="zero")
        np.testing.assert_allclose(by_variable[i], expected[0], 1e-4, 1e-4)
        np.testing.assert_allclose(by_input[i], expected[1][0], 1e-4, 1e-4)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name):
    check(FUNCTIONS[name], normal(2, 4, 3), normal(3))


@pytest.mark.parametrize("channels", [(2, 5), (5, 2)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name, channels):
    """With more channels on either side: either is shifted."""
    kind, how = CONVOLUTIONS[name]

    def convolution(x, w):
        if kind == "conv":
            return tf.nn.conv2d(x, w, **how)
        shape = [tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], channels[1]]
        return tf.nn.conv2d_transpose(x, tf.transpose(w, [0, 1, 3, 2]), shape, **how)

    check(convolution, normal(2, 5, 6, channels[0]), normal(3, 2, *channels))


def test_a_parameter_that_is_used_twice_or_not_at_all():
    check(lambda x, w: x * w + tf.exp(w), normal(2, 3), normal(3))
    check(lambda x, w: x, normal(2, 3), normal(3))


def test_an_operation_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"no rule for .* of Atan2; .*Conv2D"):
        check(tf.atan2, normal(2, 3), normal(3))


def test_logs_are_finite():
    given = tf.constant([[0.0, 0.0], [3.0, 4.0], [1e30, 1e30]])
    found = gradients.log_squared_norms([given]).numpy()[:, 0]
    assert np.all(np.isfinite(found)) and found[1] == pytest.approx(np.log(25.0))
