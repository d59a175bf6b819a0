"""Noise that makes densities of integers: uniform, and a function of the image alone."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.python.framework import kernels

from tfp_ood.models import dequantize


def random_images(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.integers(0, 256, (count, 28, 28, 1)), tf.uint8)


def noise(images, draw=0, seed=0):
    return dequantize.content_noise(images, tf.constant(draw), seed).numpy()


def test_content_noise_is_uniform():
    u = noise(random_images()).ravel()
    assert u.min() >= 0 and u.max() < 1
    # Kolmogorov-Smirnov distance of 31,360 draws: 1.95 / sqrt(n) is passed once in a thousand.
    distance = np.max(np.abs(np.sort(u) - np.arange(len(u)) / len(u)))
    assert distance < 1.95 / np.sqrt(len(u)) + 1 / len(u)


def test_content_noise_differs_between_images_pixels_draws_and_seeds():
    images = random_images()
    u = noise(images).reshape(40, -1)
    correlations = np.corrcoef(np.concatenate([u, u[:, ::-1]]))
    np.fill_diagonal(correlations, 0)
    # 80 rows of 784: a correlation of 0.2 is 5.6 standard deviations.
    np.testing.assert_array_less(np.abs(correlations), 0.2)
    for other in (noise(images, draw=1), noise(images, seed=1)):
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 0.03


def test_similar_images_get_unrelated_noise():
    """Nearly black images, which one changed pixel tells apart, as in real sets."""
    images = np.zeros([29, 28, 28, 1], np.uint8)
    for i in range(28):
        images[i, i, i] = 1
    correlations = np.corrcoef(noise(tf.constant(images)).reshape(29, -1))
    np.fill_diagonal(correlations, 0)
    np.testing.assert_array_less(np.abs(correlations), 0.2)


def test_content_noise_does_not_depend_on_the_batch():
    images = random_images()
    whole = noise(images)
    np.testing.assert_array_equal(noise(images[7:8]), whole[7:8])
    np.testing.assert_array_equal(noise(images[::-1]), whole[::-1])


def test_training_noise_is_a_function_of_the_seed():
    shape = tf.constant([3, 2, 2, 1])
    first = dequantize.training_noise(shape, tf.constant([1, 2]))
    np.testing.assert_array_equal(first, dequantize.training_noise(shape, tf.constant([1, 2])))
    assert np.any(first != dequantize.training_noise(shape, tf.constant([1, 3])))


def normal(images, num_dims=50, draw=0, seed=0):
    return dequantize.content_normal(images, num_dims, tf.constant(draw), seed).numpy()


def test_content_noise_is_what_it_was():
    """Numbers from the first release: score tables must not change with the code around."""
    images = tf.constant(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    found = noise(images, draw=1, seed=3).reshape(2, -1)[:, :3] * 2**23
    np.testing.assert_array_equal(found, [[2726298, 8276797, 2178771], [467643, 5377273, 1989413]])


def in_int32(images, num_dims, draw, seed):
    """`_content_uniform` as it was written first, with the overflow of int32 as the modulus."""

    def random_integers(number, count):
        key = tf.stack([seed, 3 * draw + number])
        bits = tf.random.stateless_uniform([count], key, None, None, tf.int32)
        return tf.bitwise.bitwise_or(bits, 1)

    flat = tf.cast(tf.reshape(images, [len(images), -1]), tf.int32)
    content = tf.reduce_sum(flat * random_integers(0, flat.shape[1]), axis=1, keepdims=True)
    hashed = content * random_integers(1, num_dims) + random_integers(2, num_dims)
    mantissa = tf.bitwise.bitwise_and(tf.bitwise.right_shift(hashed, 9), 2**23 - 1)
    return tf.bitcast(tf.bitwise.bitwise_or(mantissa, 0x3F800000), tf.float32) - 1.0


@pytest.mark.parametrize(("draw", "seed"), [(0, 0), (1, 3), (49, 2**31 - 1)])
def test_content_noise_has_the_bits_that_it_had_in_int32(draw, seed):
    rng = np.random.default_rng(seed)
    for shape in ((5, 32, 32, 3), (3, 1, 1, 1), (2, 128, 128, 3)):
        images = tf.constant(rng.integers(0, 256, shape), tf.uint8)
        images = tf.concat([images, tf.fill([1, *shape[1:]], tf.constant(255, tf.uint8))], 0)
        expected = in_int32(images, images[0].shape.num_elements(), draw, seed)
        found = noise(images, draw, seed).reshape(expected.shape)
        np.testing.assert_array_equal(found.view(np.int32), expected.numpy().view(np.int32))
        few = normal(images, 7, draw, seed)
        np.testing.assert_array_equal(
            few, tf.math.ndtri(in_int32(images, 7, draw, seed) + 2.0**-24)
        )


def test_content_noise_is_made_where_the_images_are():
    """By kernels that have them in a GPU's own memory, where those for int32 have the host's."""
    signature = [tf.TensorSpec([None, 8, 8, 3], tf.uint8), tf.TensorSpec([], tf.int32)]
    traced = tf.function(lambda images, draw: dequantize.content_noise(images, draw, 3))
    operations = traced.get_concrete_function(*signature).graph.get_operations()
    of_images = [op for op in operations if any(t.shape.rank in (2, 4) for t in op.outputs)]
    assert {"Mul", "Sum", "AddV2", "RightShift"} < {op.type for op in of_images}
    for op in of_images[1:]:  # after what stands for the images
        types = {
            name: op.get_attr(name) for name in ("T", "SrcT", "DstT") if name in op.node_def.attr
        }
        assert tf.int32 not in types.values(), op
        on_gpu = [
            kernel
            for kernel in kernels.get_registered_kernels_for_op(op.type).kernel
            if kernel.device_type == "GPU" and fits(kernel, types)
        ]
        if tf.test.is_built_with_cuda():  # others know no such kernels
            assert on_gpu, op
        for kernel in on_gpu:
            assert set(kernel.host_memory_arg) <= {"shape", "reduction_indices"}, op


def fits(kernel, types):
    """Whether a kernel is for these types."""
    allowed = {one.name: one.allowed_values.list.type for one in kernel.constraint}
    given = {name: kind.as_datatype_enum for name, kind in types.items()}
    return all(name not in allowed or kind in allowed[name] for name, kind in given.items())


def test_content_normal_is_standard_normal():
    z = normal(random_images(200)).ravel()
    assert np.all(np.isfinite(z)) and np.abs(z).max() < 5.4
    cumulative = tfp.distributions.Normal(np.float64(0), 1).cdf(np.sort(z)).numpy()
    distance = np.max(np.abs(cumulative - np.arange(len(z)) / len(z)))
    assert distance < 1.95 / np.sqrt(len(z)) + 1 / len(z)


def test_content_normal_differs_between_images_dims_draws_and_seeds():
    images = random_images()
    z = normal(images, 500)
    correlations = np.corrcoef(z)
    np.fill_diagonal(correlations, 0)
    np.testing.assert_array_less(np.abs(correlations), 0.25)  # 5.6 standard deviations
    for other in (normal(images, 500, draw=1), normal(images, 500, seed=1)):
        assert abs(np.corrcoef(z.ravel(), other.ravel())[0, 1]) < 0.03


def test_content_normal_does_not_depend_on_the_batch():
    images = random_images()
    whole = normal(images)
    np.testing.assert_array_equal(normal(images[7:8]), whole[7:8])
    np.testing.assert_array_equal(normal(images[::-1]), whole[::-1])
