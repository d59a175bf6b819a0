import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evaluation.fakes import NUM_DIMS, batches, fake_split, metadata
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import images, likelihood, tables


def scorer(image):
    number = image[:, 0, 0, 0].astype(np.float32)
    return {"log_prob": -number, "log_prob_latent": number / 2, "log_det": -1.5 * number}


def write(path, num_images=10, given=None, score=scorer):
    split = fake_split(num_images=num_images)
    given = batches(num_images) if given is None else given
    facts = metadata(split)
    likelihood.write_score_table(path, score, split, given, facts, progress=False)


def test_columns_types_values_and_metadata(tmp_path):
    path = tmp_path / "a.parquet"
    write(path)
    table = pq.ParquetFile(path).read()
    assert table.column_names == [
        "dataset", "split", "index", "label", "log_prob", "bits_per_dim", "log_prob_latent",
        "log_det", "pixel_mean", "pixel_variance",
    ]  # fmt: skip
    assert pa.types.is_dictionary(table.schema.field("dataset").type)
    assert table.schema.field("log_prob").type == pa.float64()
    assert set(table["dataset"].to_pylist()) == {"mnist"}
    assert set(table["split"].to_pylist()) == {"test"}
    assert table["index"].to_pylist() == list(range(10))
    assert table["label"].to_pylist() == [i % 3 for i in range(10)]
    assert table["log_det"].to_pylist() == [-1.5 * i for i in range(10)]
    bits = [i / (NUM_DIMS * math.log(2)) for i in range(10)]
    np.testing.assert_allclose(table["bits_per_dim"], bits, rtol=1e-12)
    facts = json.loads(table.schema.metadata[b"tfp_ood"])
    assert (facts["kind"], facts["num_draws"], facts["num_images"]) == ("bound", 2, 10)
    assert facts["preprocessing"]["image_shape"] == [2, 2, 3]


def test_rows_are_written_in_groups_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(likelihood, "_ROWS_PER_GROUP", 8)
    path = tmp_path / "a.parquet"
    write(path, 18)
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [8, 8, 2]
    assert file.read()["index"].to_pylist() == list(range(18))


def test_at_most_one_group_of_batches_and_one_ahead_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(likelihood, "_ROWS_PER_GROUP", 8)
    held = []
    write_table = pq.ParquetWriter.write_table

    def spy(self, table, *args, **kwargs):
        held.append((table.num_rows, taken[-1]))
        return write_table(self, table, *args, **kwargs)

    taken = []

    def watched():
        for batch in batches(40):
            taken.append(int(batch["index"][-1]) + 1)
            yield batch

    monkeypatch.setattr(pq.ParquetWriter, "write_table", spy)
    write(tmp_path / "a.parquet", 40, watched())
    # Of 4 each, one batch ahead.
    assert held == [(8, 12), (8, 20), (8, 28), (8, 36), (8, 40)]


def test_non_finite_scores_are_counted_over_all_batches_and_nothing_is_left(tmp_path):
    def diverged(image):
        statistics = scorer(image)
        bad = np.isin(image[:, 0, 0, 0], [1, 5, 6])
        statistics["log_prob"] = np.where(bad, -np.inf, statistics["log_prob"])
        return statistics

    path = tmp_path / "a.parquet"
    with pytest.raises(EvaluationError, match=r"3 of 10 images .*index 1, 5, 6\)") as error:
        write(path, score=diverged)
    assert "learning_rate" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_many_bad_images_are_not_all_listed(tmp_path):
    def nothing(image):
        return {"log_prob": np.full(len(image), np.nan)}

    with pytest.raises(EvaluationError, match=r"10 of 10 .*index 0, 1, 2, 3, 4, \.\.\."):
        write(tmp_path / "a.parquet", score=nothing)


def test_a_failed_redo_keeps_the_old_table(tmp_path):
    path = tmp_path / "a.parquet"
    write(path)
    before = path.read_bytes()
    with pytest.raises(EvaluationError):
        write(path, num_images=12, given=batches(10))
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [images.kept_path(path), path]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (list(batches(10))[:2], "8 images came where 10"),
        (list(batches(11)), "11 images came where 10"),
        ([], "0 images came where 10"),
        (list(batches(10))[::-1], "image 8 came where image 0 was due"),
        (list(batches(4)) * 2, "image 0 came where image 4 was due"),
    ],
    ids=["missing", "too many", "none", "disordered", "repeated"],
)
def test_every_image_must_come_once_in_order(tmp_path, given, message):
    with pytest.raises(EvaluationError, match=message):
        write(tmp_path / "a.parquet", given=given)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="at least one"):
        write(tmp_path / "a.parquet", num_images=0)


def test_a_scorer_must_give_one_number_per_image(tmp_path):
    with pytest.raises(ValueError, match=r"log_prob: shape \(4, 1\) for 4 images"):
        write(tmp_path / "a.parquet", score=lambda image: {"log_prob": image[:, 0, 0, :1]})


def test_metadata_must_be_complete(tmp_path):
    facts = metadata(fake_split())
    del facts["seed"], facts["kind"]
    with pytest.raises(ValueError, match="lack kind, seed"):
        likelihood.write_score_table(
            tmp_path / "a.parquet", scorer, fake_split(), batches(10), facts
        )


def test_progress_goes_to_stderr_only_if_wanted(tmp_path, capsys):
    split = fake_split()
    for progress in (True, False):
        likelihood.write_score_table(
            tmp_path / "a.parquet", scorer, split, batches(10), metadata(split), progress
        )
        output = capsys.readouterr()
        assert output.out == ""
        assert ("scoring mnist/test" in output.err) == progress


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "key=value" / "a.parquet"  # not a partition column
    write(path)
    table = tables.read_score_table(path)
    np.testing.assert_array_equal(table.log_prob, -np.arange(10.0))
    np.testing.assert_array_equal(table.statistics["log_prob_latent"], np.arange(10) / 2)
    assert list(table.statistics)[:2] == ["log_prob_latent", "log_det"]
    assert (table.key, table.num_images, table.num_dims) == ("mnist/test", 10, NUM_DIMS)
    assert tables.is_current(path, metadata(fake_split()))


def test_where_a_person_s_own_images_are_from_is_told(tmp_path):
    split = fake_split()
    sources = [f"{number}/ü.png" for number in range(10)]
    split.source = sources.__getitem__
    likelihood.write_score_table(
        tmp_path / "a.parquet", scorer, split, batches(10), metadata(split), progress=False
    )
    table = tables.read_score_table(tmp_path / "a.parquet")
    assert table.source.tolist() == sources
    assert table.take(np.array([3, 1])).source.tolist() == ["3/ü.png", "1/ü.png"]
    assert "source" not in table.column_names
    write(tmp_path / "b.parquet")
    other = tables.read_score_table(tmp_path / "b.parquet")
    assert other.source is None and other.take(np.array([3])).source is None


def test_the_images_are_measured_and_kept_in_the_same_pass(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, 20)
    table = tables.read_score_table(path)
    np.testing.assert_array_equal(table.statistics["pixel_mean"], np.arange(20.0))
    np.testing.assert_array_equal(table.statistics["pixel_variance"], np.zeros(20))
    kept = images.read_kept(path, table.metadata)
    assert kept.extreme_index[:, :3].tolist() == [[0, 1, 2], [19, 18, 17]]
    np.testing.assert_allclose(kept.mean, np.full((2, 2, 3), 9.5))
    assert kept.spread[:, 0, 0, 0].tolist() == kept.spread_index.tolist() == list(range(20))
