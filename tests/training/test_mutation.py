"""Mutated images: how many values change, to what, and that a resumed training sees the same."""

import numpy as np
import tensorflow as tf

from tfp_ood.data.untuned import untuned
from tfp_ood.training.mutation import mutated

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 40, 8, 8, 3), dtype=np.uint8)


def stream(rate, seed=0, first=0):
    batches = {"image": IMAGES[first:], "label": np.arange(5)[first:]}
    return list(
        mutated(tf.data.Dataset.from_tensor_slices(batches), rate, seed, first).as_numpy_iterator()
    )


def test_a_share_of_the_values_is_drawn_anew():
    found = np.stack([batch["image"] for batch in stream(0.3)])
    assert found.dtype == np.uint8
    # One in 256 is drawn as it was.
    assert abs(np.mean(found != IMAGES) - 0.3 * 255 / 256) < 0.01
    drawn = found[found != IMAGES]
    assert drawn.min() == 0 and drawn.max() == 255 and abs(drawn.mean() - 127.5) < 2


def test_labels_stay_and_rate_0_changes_nothing():
    for number, batch in enumerate(stream(0.0)):
        np.testing.assert_array_equal(batch["image"], IMAGES[number])
        assert batch["label"] == number


def test_a_batch_depends_on_its_number_and_the_seed_alone():
    whole, tail = stream(0.2), stream(0.2, first=2)
    for number, batch in enumerate(tail, 2):
        np.testing.assert_array_equal(batch["image"], whole[number]["image"])
    assert np.any(whole[0]["image"] != stream(0.2, seed=1)[0]["image"])


def test_it_is_no_more_tuned_than_the_stream_that_it_changes():
    batches = untuned(tf.data.Dataset.from_tensors({"image": IMAGES[0]}))
    assert not mutated(batches, 0.1, 0, 0).options().autotune.enabled
