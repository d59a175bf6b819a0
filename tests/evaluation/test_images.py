import numpy as np
import pytest

from tests.evaluation.fakes import fake_split, metadata
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import images

RNG = np.random.default_rng(0)
FACTS = metadata(fake_split())


@pytest.mark.parametrize("channels", [1, 3])
def test_columns(channels):
    given = RNG.integers(0, 256, (5, 6, 4, channels), np.uint8)
    given[0] = 7
    found = images.columns(given)
    flat = given.reshape(5, -1).astype(float)
    np.testing.assert_allclose(found["pixel_mean"], flat.mean(1))
    np.testing.assert_allclose(found["pixel_variance"], flat.var(1))


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_extremes_and_moments_of_any_batches(batch_size):
    given = RNG.integers(0, 256, (50, 3, 2, 1), np.uint8)
    log_prob = np.round(RNG.normal(size=50), 1)  # with ties
    keeper = images.Keeper(50)
    for start in range(0, 50, batch_size):
        part = slice(start, start + batch_size)
        keeper.see(np.arange(50)[part], given[part], log_prob[part])
    kept = keeper.kept()
    for end, sign in enumerate((-1, 1)):
        expected = np.argsort(sign * log_prob, kind="stable")[:16]
        np.testing.assert_array_equal(kept.extreme_index[end], expected)
        np.testing.assert_array_equal(kept.extremes[end], given[expected])
    np.testing.assert_allclose(kept.mean, given.mean(0))
    np.testing.assert_allclose(kept.variance, given.var(0))
    np.testing.assert_array_equal(kept.spread, given)
    np.testing.assert_array_equal(kept.spread_index, np.arange(50))


@pytest.mark.parametrize("count", [257, 1000])
def test_images_spread_over_the_set_are_kept_too(count):
    given = RNG.integers(0, 256, (count, 2, 2, 3), np.uint8)
    keeper = images.Keeper(count)
    for start in range(0, count, 64):
        part = slice(start, start + 64)
        keeper.see(np.arange(count)[part], given[part], np.zeros(len(given[part])))
    kept = keeper.kept()
    assert kept.spread.shape == (256, 2, 2, 3) and len(set(kept.spread_index)) == 256
    np.testing.assert_array_equal(kept.spread, given[kept.spread_index])
    assert set(np.diff(kept.spread_index)) <= {count // 256, count // 256 + 1}


def test_a_set_smaller_than_what_is_kept():
    keeper = images.Keeper(2)
    keeper.see(np.arange(2), RNG.integers(0, 9, (2, 1, 1, 1), np.uint8), np.array([1.0, 2.0]))
    assert keeper.kept().extreme_index.tolist() == [[1, 0], [0, 1]]


def test_what_is_written_is_read_for_its_own_table_only(tmp_path):
    keeper = images.Keeper(3)
    keeper.see(np.arange(3), RNG.integers(0, 9, (3, 2, 2, 3), np.uint8), np.arange(3.0))
    path = images.write_kept(tmp_path / "a.parquet", keeper.kept(), FACTS)
    assert path == tmp_path / "a.npz"
    kept = images.read_kept(tmp_path / "a.parquet", FACTS)
    np.testing.assert_array_equal(kept.mean, keeper.kept().mean)
    other = metadata(fake_split(), config_hash="other")
    with pytest.raises(EvaluationError, match=r"a\.npz cannot be read \(it belongs to another"):
        images.read_kept(tmp_path / "a.parquet", other)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EvaluationError, match=r"Delete a\.parquet and run --mode=evaluate"):
        images.read_kept(tmp_path / "a.parquet", FACTS)
    path.unlink()
    with pytest.raises(EvaluationError, match=r"a\.npz cannot be read"):
        images.read_kept(tmp_path / "a.parquet", FACTS)
