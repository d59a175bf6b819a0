"""Noise that makes densities of integers: uniform, and a function of the image alone."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

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
