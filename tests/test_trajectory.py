"""Likelihoods at checkpoints: written whole, replaced when made again, damage is named."""

import numpy as np
import pytest

from tfp_ood import trajectory, units
from tfp_ood.errors import EvaluationError


def one(name, log_prob, split="test"):
    return trajectory.scored(name, split, np.arange(len(log_prob)) * 3, np.array(log_prob), 12)


def test_what_is_written_is_read(tmp_path):
    sets = [one("fashion_mnist", [-3.0, -4.0]), one("folder:/x/a=b", [-1.0, -2.0, -9.0], "all")]
    trajectory.write(tmp_path, 10, sets)
    trajectory.write(tmp_path, 9, sets[:1])
    found = trajectory.read(tmp_path)
    assert list(found) == [9, 10] and list(found[9]) == ["fashion_mnist/test"]
    assert list(found[10]) == ["fashion_mnist/test", "folder:/x/a=b/all"]
    for given, read in zip(sets, found[10].values(), strict=True):
        for name in ("index", "log_prob", "bits_per_dim"):
            np.testing.assert_array_equal(getattr(read, name), getattr(given, name))
    assert found[10]["fashion_mnist/test"].bits_per_dim[0] == units.bits_per_dim(-3.0, 12)


def test_a_step_that_is_made_again_replaces_the_old_one(tmp_path):
    for value in (-1.0, -2.0):
        trajectory.write(tmp_path, 5, [one("mnist", [value])])
    assert trajectory.read(tmp_path)[5]["mnist/test"].log_prob.tolist() == [-2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["00000005.parquet"]


def test_nothing_was_watched(tmp_path):
    assert trajectory.read(tmp_path / "progress") == {}


def test_damage_is_named(tmp_path):
    trajectory.write(tmp_path, 5, [one("mnist", [1.0])])
    path = tmp_path / "00000005.parquet"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(EvaluationError, match=r"00000005\.parquet is damaged .* Delete it"):
        trajectory.read(tmp_path)
