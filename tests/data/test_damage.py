"""Damaged records of TFDS sets are named with their file."""

import pytest
import tensorflow as tf

from tests.damaged import spoil
from tests.data import tiny
from tfp_ood.data import damage
from tfp_ood.errors import DataError


def fail():
    raise tf.errors.DataLossError(None, None, "corrupted record at 12")


def test_the_damaged_file_is_named(tmp_path):
    for name in ("fashion_mnist", "mnist"):
        tiny.store_set(name, tmp_path)
    path = spoil(tmp_path)
    said = rf"mnist: {path} is damaged \(corrupted record at \d+\); move {path.parent} away and run"
    with (
        pytest.raises(DataError, match=said),
        damage.named(["noise", "fashion_mnist", "mnist"], str(tmp_path)),
    ):
        fail()


def test_other_failures_stay_what_they_are(tmp_path):
    tiny.store_set("mnist", tmp_path)
    with pytest.raises(tf.errors.DataLossError), damage.named(["mnist"], str(tmp_path)):
        fail()
    spoil(tmp_path)
    with pytest.raises(ValueError, match="other"), damage.named(["mnist"], str(tmp_path)):
        raise ValueError("other")
    with damage.named(["mnist"], str(tmp_path)):
        pass
