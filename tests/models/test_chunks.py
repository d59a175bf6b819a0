"""Chunks of many images: in their order, within a bound, and without the rest where one fails."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.models import chunks, folding

IMAGES = tf.reshape(tf.range(7 * 4 * 2 * 3), [7, 4, 2, 3])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 9])
def test_chunks_come_in_their_order(size):
    found = chunks.of_chunks(lambda part: part.numpy(), IMAGES, size)
    assert max(map(len, found)) == min(size, 7)
    np.testing.assert_array_equal(np.concatenate(found), IMAGES)


def test_what_is_held_has_a_bound(monkeypatch):
    monkeypatch.setattr(chunks, "_BYTES", 4 * 2 * 100 * 3)
    assert chunks.fitting(IMAGES, 100) == 3
    assert chunks.fitting(IMAGES, 10**9) == 1
    seen = []
    value = chunks.in_chunks(lambda part: seen.append(len(part)) or part + 1, IMAGES, 100)
    np.testing.assert_array_equal(value, IMAGES + 1)
    assert sorted(seen) == [1, 3, 3]


def test_without_a_bound_two_halves_are_seen():
    seen = []
    chunks.in_chunks(lambda part: seen.append(len(part)) or part, IMAGES, 2**19)
    assert sorted(seen) == [3, 4]
    chunks.in_chunks(lambda part: seen.append(len(part)) or part, IMAGES, 1)
    assert sorted(seen) == [3, 4, 7]  # not worth it


def test_who_stops_does_not_wait_for_all_chunks():
    calls = []

    def fail(part):
        calls.append(len(part))
        if len(calls) == 1:
            raise KeyboardInterrupt
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        chunks.of_chunks(fail, tf.zeros([1000, 1, 1, 1]), 1)
    assert len(calls) < 1000


def test_settings_of_the_caller_hold_in_every_chunk():
    """Such as whether batch normalization takes a batch's own statistics."""
    weights = (tf.constant(3.0),)
    layer = object()
    with folding.using([layer], [weights]):
        found = chunks.of_chunks(lambda part: folding.of(layer), IMAGES, 2)
    assert found == [weights] * 4
