import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evaluation.fakes import fake_split, metadata, table, write
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import tables
from tfp_ood.workdir import open_workdir


@pytest.fixture
def path(tmp_path):
    write(tmp_path, [1.0, 2.0, 3.0])
    return open_workdir(tmp_path).score_table("mnist", "test")


def test_plain_names_stay_readable(tmp_path):
    expected = tmp_path / "scores" / "fashion_mnist.test.parquet"
    assert open_workdir(tmp_path).score_table("fashion_mnist", "test") == expected


def test_every_set_has_its_own_file_that_stays_in_the_folder(tmp_path):
    sets = [
        ("mnist", "test"), ("mnist", "train"), ("MNIST", "test"), ("mnist.test", "test"),
        ("folder:/x/photos", "all"), ("folder:/y/photos", "all"), ("array:/x/photos", "all"),
        ("folder:../photos", "all"), ("folder:/x/ph\u00f6tos", "all"), ("folder:/x/ph:tos", "all"),
        ("folder:/", "all"), ("array:../a.npy", "all"), ("a" * 300, "all"),
        ("mnist", "test[:10]"), ("mnist", "test[:11]"),
    ]  # fmt: skip
    paths = [open_workdir(tmp_path).score_table(*s) for s in sets]
    assert len({str(p).lower() for p in paths}) == len(sets)  # also where case does not count
    assert {p.parent for p in paths} == {tmp_path / "scores"}
    assert all(len(p.name) < 150 and p.name.isascii() for p in paths)
    assert paths[4].name.startswith("photos-")


def test_a_table_is_current_for_equal_metadata_only(path):
    split = fake_split(num_images=3)
    assert tables.is_current(path, metadata(split))
    assert not tables.is_current(path, metadata(split, config_hash="other"))
    assert not tables.is_current(path, metadata(split, num_draws=3))
    assert not tables.is_current(path, metadata(split, step=1))
    assert not tables.is_current(path, metadata(fake_split(num_images=4)))
    resized = fake_split(num_images=3, size_change="resize 4x4 -> 2x2")
    assert not tables.is_current(path, metadata(resized))


def test_missing_and_damaged_tables_are_not_current(path):
    facts = metadata(fake_split(num_images=3))
    assert not tables.is_current(path.with_name("other"), facts)
    path.write_bytes(path.read_bytes()[:-20])
    assert not tables.is_current(path, facts)


def test_a_missing_table_says_how_to_make_it(tmp_path):
    with pytest.raises(EvaluationError, match=r"no score table .*x\.parquet; --mode=evaluate"):
        tables.read_score_table(tmp_path / "x.parquet")


def damage_end(path):
    path.write_bytes(path.read_bytes()[:-20])


def damage_values(path):
    """Changes a bit of one likelihood, which only a checksum can notice."""
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    content[column.data_page_offset - 1] ^= 1  # where the page of the values ends
    path.write_bytes(content)
    assert pq.ParquetFile(path).read().num_rows == 3


def replace_by_foreign(path):
    pq.write_table(pa.table({"a": [1]}), path)


def replace_by_empty(path):
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(0, 0), path)


@pytest.mark.parametrize(
    "damage", [damage_end, damage_values, replace_by_foreign, replace_by_empty]
)
def test_a_damaged_table_is_named_with_the_way_out(path, damage):
    damage(path)
    with pytest.raises(EvaluationError, match=r"mnist\.test\.parquet is damaged .*Delete it"):
        tables.read_score_table(path)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="exact, bound"):
        metadata(fake_split(), kind="guess")


def test_model_facts_are_what_does_not_depend_on_the_images():
    facts = table([1.0], step=7).model_facts()
    assert set(facts) == {*tables.MODEL_KEYS, "step"}
    assert facts == table([2.0, 3.0], "fashion_mnist", "all", step=7).model_facts()


def test_a_table_of_another_version_says_so(path):
    whole = pq.ParquetFile(path).read()
    facts = {k: v for k, v in tables.read_score_table(path).metadata.items() if k != "format"}
    old = whole.replace_schema_metadata({tables.METADATA_KEY: tables.encode_metadata(facts)})
    pq.write_table(old, path)
    assert not tables.is_current(path, facts)
    with pytest.raises(EvaluationError, match=r"another version of this program; --mode=evaluate"):
        tables.read_score_table(path)


def test_columns_that_are_left_out_may_come_from_anything():
    made = table([1.0, 2.0])
    left_out = ["pixel_mean", "pixel_variance"]
    for columns in (left_out, iter(left_out), (name for name in left_out)):
        assert list(made.without(columns).statistics) == ["code_bits"]
