"""Damaged records of TFDS sets are named with their file."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.damaged import spoil
from tests.data import tiny
from tfp_ood.config import DataConfig
from tfp_ood.data import broken_records, pipeline
from tfp_ood.errors import DataError

LOST = tf.errors.DataLossError(None, None, "corrupted record at 12")


def test_the_damaged_file_is_named(tmp_path):
    for name in ("fashion_mnist", "mnist"):
        tiny.store_set(name, tmp_path)
    path = spoil(tmp_path)
    said = rf"mnist: {path} is damaged \(corrupted record at \d+\); move {path.parent} away and run"
    with pytest.raises(DataError, match=said):
        broken_records.name_file(LOST, ["noise", "fashion_mnist", "mnist"], str(tmp_path))


def test_a_file_that_vanished_since_the_start_is_named(tmp_path):
    for number in range(3):
        Image.fromarray(np.full((28, 28), number, np.uint8)).save(tmp_path / f"{number}.png")
    name = f"folder:{tmp_path}"
    split = pipeline.open_split(name, "out", DataConfig(), None)
    (tmp_path / "1.png").unlink()
    said = rf"^{tmp_path}/1\.png: cannot be read .* It was there at the start"
    with pytest.raises(tf.errors.UnknownError) as failed:
        list(pipeline.scoring_batches(split, 2))
    with pytest.raises(DataError, match=said):
        broken_records.name_file(failed.value, [name], None)
    broken_records.name_file(tf.errors.UnknownError(None, None, "x"), [name], None)


def test_other_failures_stay_what_they_are(tmp_path):
    tiny.store_set("mnist", tmp_path)
    broken_records.name_file(LOST, ["mnist"], str(tmp_path))  # no record is damaged
    spoil(tmp_path)
    broken_records.name_file(ValueError("other"), ["mnist"], str(tmp_path))
