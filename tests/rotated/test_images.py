"""Turning images."""

import numpy as np

from tfp_ood.rotated import images


def test_quarter_turns_move_pixels_exactly():
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1)).astype(np.uint8)
    turned = images.rotated(image, images.angles(3))
    assert turned.shape == (3, 28, 28, 1) and turned.dtype == np.uint8
    for number, one in enumerate(turned):
        np.testing.assert_array_equal(one, np.rot90(image, number))  # counterclockwise too


def test_other_angles_keep_the_middle_and_blacken_corners():
    image = np.full((28, 28, 1), 200, np.uint8)
    (turned,) = images.rotated(image, np.array([45.0]))
    assert turned[0, 0, 0] == 0 and turned[14, 14, 0] == 200


def test_angles_have_both_ends():
    np.testing.assert_array_equal(images.angles(5), [0, 45, 90, 135, 180])
