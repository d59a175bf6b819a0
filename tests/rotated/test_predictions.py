"""Prediction tables: entropy, the round trip, damage, and currency."""

import numpy as np
import pytest

from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import tables
from tfp_ood.rotated import predictions
from tfp_ood.rotated.predictions import Predictions


def make(num=4, facts=None):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(10), num)
    keys = {"label": np.arange(num), "index": np.arange(num), "angle": np.linspace(0, 180, num)}
    return Predictions(keys, probabilities, facts or {"variant": "softmax"})


def test_entropy_is_zero_for_certainty_and_log_10_for_no_idea():
    rows = np.stack([np.eye(10)[3], np.full(10, 0.1), [0.5, 0.5] + [0.0] * 8])
    expected = [0.0, np.log(10.0), np.log(2.0)]
    np.testing.assert_allclose(Predictions({}, rows, {}).entropy, expected, atol=1e-12)


def test_tables_come_back_as_they_were(tmp_path):
    path = predictions.table_path(tmp_path / "a=b", "softmax", "rotated")
    ours = make()
    predictions.write(path, ours)
    again = predictions.read(path)
    assert again.metadata == ours.metadata and list(again.keys) == list(ours.keys)
    np.testing.assert_array_equal(again.probabilities, ours.probabilities)
    np.testing.assert_array_equal(again.keys["angle"], ours.keys["angle"])
    np.testing.assert_array_equal(again.where(ours.keys["label"] == 2).keys["index"], [2])


def test_a_table_is_current_with_its_own_facts_only(tmp_path):
    path = tmp_path / "t.parquet"
    facts = {"variant": "mnf", "digits": (3, 9)}
    assert not tables.has_metadata(path, facts)
    predictions.write(path, make(facts=facts))
    assert tables.has_metadata(path, facts)
    assert not tables.has_metadata(path, {**facts, "digits": (3,)})
    path.write_bytes(b"no table")
    assert not tables.has_metadata(path, facts)


def test_missing_and_damaged_tables_name_the_stage(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(EvaluationError, match="--mode=evaluate"):
        predictions.read(path)
    predictions.write(path, make())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(EvaluationError, match="damaged"):
        predictions.read(path)
