"""Damaged records of TFDS sets are named with their file."""

import pytest
import tensorflow as tf

from tests.damaged import spoil
from tests.data import tiny
from tfp_ood.data import broken_records
from tfp_ood.errors import DataError

LOST = tf.errors.DataLossError(None, None, "corrupted record at 12")


def test_the_damaged_file_is_named(tmp_path):
    for name in ("fashion_mnist", "mnist"):
        tiny.store_set(name, tmp_path)
    path = spoil(tmp_path)
    said = rf"mnist: {path} is damaged \(corrupted record at \d+\); move {path.parent} away and run"
    with pytest.raises(DataError, match=said):
        broken_records.name_file(LOST, ["noise", "fashion_mnist", "mnist"], str(tmp_path))


def test_other_failures_stay_what_they_are(tmp_path):
    tiny.store_set("mnist", tmp_path)
    broken_records.name_file(LOST, ["mnist"], str(tmp_path))  # no record is damaged
    spoil(tmp_path)
    broken_records.name_file(ValueError("other"), ["mnist"], str(tmp_path))
