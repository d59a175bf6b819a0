"""Noise that makes densities of integers: uniform, and a function of the image alone."""

import numpy as np
import tensorflow as tf

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
