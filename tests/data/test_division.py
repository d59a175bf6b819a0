"""Sets without splits: every image has one role, and small sets hold out what a guard needs."""

import numpy as np
import pytest

from tfp_ood.config import DataConfig
from tfp_ood.data import division


@pytest.mark.parametrize(
    ("num_images", "expected"),
    [
        (3, (1, 1, 1)),
        (20, (13, 5, 2)),
        (159, (105, 39, 15)),
        (160, (104, 40, 16)),
        (300, (230, 40, 30)),
        (410, (328, 41, 41)),
        (5_000, (4_000, 500, 500)),
        (30_000, (26_000, 1_000, 3_000)),
    ],
)
def test_images_are_divided_without_rest(num_images, expected):
    roles, data = ("train", "validation", "test"), DataConfig()
    parts = [division.playing("x", num_images, role, data) for role in roles]
    assert tuple(map(len, parts)) == expected
    assert sorted(np.concatenate(parts)) == list(range(num_images))


def test_no_more_is_held_out_than_the_config_says():
    data = DataConfig(num_validation=4)
    assert len(division.playing("x", 300, "validation", data)) == 4
    assert division.mark(300, data) == ""


def test_the_test_images_are_those_of_earlier_versions():
    """A tenth, by the same shuffle; what else was divided otherwise has another version."""
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(division.playing("x", 300, "test", DataConfig()), order[:30])
    assert division.mark(300, DataConfig()) == "-40"
    assert division.mark(400, DataConfig()) == division.mark(5_000, DataConfig()) == ""


@pytest.mark.parametrize("count", [1, 5, 38, 40, 41, 198, 1000])
def test_the_fewest_images_are_enough_and_one_less_is_not(count):
    data, number = DataConfig(num_validation=count), division.fewest_images(count)
    assert len(division.playing("x", max(3, number), "validation", data)) == count
    if count > 1:
        assert len(division.playing("x", number - 1, "validation", data)) == count - 1
