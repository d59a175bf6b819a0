"""The Beam pipeline, by Beam's local runner: the numbers of this process, from every input."""

import gzip
import json
import os
import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from tests import contracts, guards
from tests.contracts import CASES
from tests.data import pictures
from tests.nasty import ALL
from tfp_ood import units
from tfp_ood.beam import __main__ as beam_score
from tfp_ood.config import DataConfig
from tfp_ood.data import pipeline as data_pipeline
from tfp_ood.data import prepare
from tfp_ood.data.prepare import check_counts  # the true one: see tests/conftest.py
from tfp_ood.errors import UserError
from tfp_ood.evaluation import images
from tfp_ood.export import saved_model

beam = pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")

from apache_beam.io.filesystem import FileMetadata  # noqa: E402 - after the skip
from apache_beam.io.filesystems import FileSystems  # noqa: E402
from apache_beam.io.localfilesystem import LocalFileSystem  # noqa: E402

from tfp_ood.beam import inference, pipeline, remote, rows, sources  # noqa: E402

pytestmark = pytest.mark.beam

SHAPE = (28, 28, 1)
CHANGES = ("--size_change=resize", "--channel_change=convert")


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory):
    """A model, its guard, and the folder that it was exported to."""
    path = tmp_path_factory.mktemp("run") / ALL / "export"
    path.mkdir(parents=True)
    case = CASES["glow"]
    model, rng = contracts.build(case, image_shape=SHAPE), np.random.default_rng(1)
    model.initialize(rng.integers(0, 256, (32, *SHAPE), np.uint8))
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.01, variable.shape))
    held_out = guards.columns_of(model, rng.integers(0, 256, (80, *SHAPE), np.uint8))
    guard = guards.guard_of(held_out, 0.1)
    saved_model.write(path / "model", model, 1, guard, batch_size=5)
    return model, guard, path


@pytest.fixture(name="score")
def _score(made, tmp_path, capsys):
    """Runs the command line; gives the exit code, what it said, the rows and what was left out."""

    def score(*flags, export=made[2], output=tmp_path / "scores" / "out"):
        code = beam_score.main([f"--export={export}", f"--output={output}", *flags])
        said = capsys.readouterr()
        local = pathlib.Path(str(output).removeprefix("fake://"))
        shards = sorted(local.parent.glob("out-*-of-*.parquet"))
        table = None
        if code == 0:
            table = pa.concat_tables(map(pq.read_table, shards))
            table = table.sort_by([("source", "ascending"), ("index", "ascending")])
        lines = [
            json.loads(line)
            for path in sorted(local.parent.glob("out-skipped-*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        skipped = sorted(lines, key=lambda line: (line["file"], line["record"] or 0))
        return code, said.out + said.err, table, skipped

    return score


def check(table, pixels, made):
    """All columns that are made of the pixels, against the model in this process."""
    model, guard, _ = made
    told = guards.columns_of(model, pixels)
    assert table.num_rows == len(pixels)
    for name in ("log_prob", *model.terms, "code_bits"):
        assert table.schema.field(name).type == pa.float64()
        np.testing.assert_allclose(table[name], told[name], rtol=1e-5, atol=1e-4)
    bits = units.bits_per_dim(table["log_prob"].to_numpy(), model.num_dims)
    np.testing.assert_array_equal(table["bits_per_dim"], bits)
    for name, values in images.columns(pixels).items():
        np.testing.assert_array_equal(table[name], values)
    expected = guards.verdicts(guard, told)
    judged = {name: np.array(table[name].to_pylist()) for name in expected}
    judged["reasons"] = [words.encode() for words in judged["reasons"].tolist()]
    guards.check(judged, expected)


def png(array):
    return tf.io.encode_png(array).numpy()


def example(**features):
    kinds = {bytes: ("bytes_list", tf.train.BytesList), int: ("int64_list", tf.train.Int64List)}
    made = {}
    for name, value in features.items():
        key, kind = kinds[type(value)]
        made[name.replace("__", "/")] = tf.train.Feature(**{key: kind(value=[value])})
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def random_images(count, seed=5):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def test_a_tfds_set_has_the_numbers_of_this_process(score, made, data_dir, tmp_path):
    data_dir = str(shutil.copytree(data_dir, tmp_path / ALL))
    code, said, table, skipped = score(
        "--input=tfds:fashion_mnist", f"--data_dir={data_dir}", "--batch_size=3"
    )
    assert code == 0 and said.startswith("7 images scored, 0 left out: "), said
    assert skipped == []
    split = data_pipeline.open_split("fashion_mnist", "out", DataConfig(), data_dir)
    pixels, labels = data_pipeline.load(split)
    check(table, pixels, made)
    assert table["index"].to_pylist() == list(range(7))
    assert table["label"].to_pylist() == labels.tolist()
    assert set(table["dataset"].to_pylist()) == {"fashion_mnist"}
    assert set(table["split"].to_pylist()) == {"test"}
    name = "fashion_mnist-test.tfrecord-00000-of-00001"
    assert [s.rpartition("/")[2] for s in table["source"].to_pylist()] == [
        f"{name}#{i}" for i in range(7)
    ]
    assert table.column_names == [
        *("dataset", "split", "index", "label", "log_prob", "bits_per_dim"),
        *("log_det", "log_prob_latent", "pixel_mean", "pixel_variance", "code_bits"),
        *("p_value", *sorted(f"p_value.{name}" for name in made[1].reasons)),
        *("percentile", "score", "is_out_of_distribution", "reasons", "source"),
    ]
    facts = json.loads(table.schema.metadata[rows.METADATA_KEY])
    assert facts["preprocessing"] == {
        "image_shape": [28, 28, 1],
        "size_change": "error",
        "channel_change": "error",
        "transposed": False,
    }
    assert facts["export"] == str(made[2] / "model") and facts["export_fingerprint"]


def test_record_files_and_what_is_broken_in_them(score, made, tmp_path):
    pixels = random_images(6)
    good = [example(image__encoded=png(p), label=i) for i, p in enumerate(pixels)]
    cut = example(image__encoded=png(pixels[0])[:80])
    write_records(
        tmp_path / "a.tfrecord",
        [good[0], cut, example(picture=png(pixels[0])), b"\xff\xff", good[1], example(image=b"x")],
    )
    write_records(tmp_path / "plain", good[2:4])
    with gzip.open(tmp_path / "b.tfrecord.gz", "wb") as file:
        file.write((tmp_path / "plain").read_bytes())
    write_records(tmp_path / "c.tfrecord", good[4:])
    content = (tmp_path / "c.tfrecord").read_bytes()
    (tmp_path / "c.tfrecord").write_bytes(content[:-20])  # within the second record
    code, said, table, skipped = score(f"--input={tmp_path}/*.tfrecord*", "--name=mine")
    assert code == 0 and said.startswith("5 images scored, 5 left out (listed in "), said
    check(table, pixels[:5], made)
    assert table["label"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["index"].to_pylist() == [0, 4, 0, 1, 0]
    assert set(table["dataset"].to_pylist()) == {"mine"}
    assert set(table["split"].to_pylist()) == {"all"}
    assert [(s["file"], s["record"]) for s in skipped] == [
        *((str(tmp_path / "a.tfrecord"), record) for record in (1, 2, 3, 5)),
        (str(tmp_path / "c.tfrecord"), 1),
    ]
    reasons = [line["reason"] for line in skipped]
    assert "no feature image/encoded or image" in reasons[1] and "it has picture" in reasons[1]
    assert reasons[2] == "the record is not a tf.train.Example"
    assert reasons[3].startswith("it is no image of PNG, ")
    assert "damaged from here on" in reasons[4]


def folder_of_odd_images(path):
    """Sizes, channels and formats differ; two files are no images."""
    rng = np.random.default_rng(0)
    shapes = {"dog/a.png": (30, 20), "dog/b.jpg": (12, 50, 3), "cat/z.png": (28, 28)}
    for name, shape in shapes.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(file)
    (path / "cat" / "cut.jpg").write_bytes((path / "dog" / "b.jpg").read_bytes()[:200])
    (path / "cat" / "words.png").write_text("not an image")


def test_image_files_of_odd_shapes(score, made, tmp_path):
    """In a folder whose name is a pattern too, which others match."""
    folder = tmp_path / "photos [12]"
    for path in (folder, tmp_path / "photos 1"):
        folder_of_odd_images(path)
    code, said, table, skipped = score(f"--input={folder}/**", "--input_format=images", *CHANGES)
    assert code == 0 and said.startswith("3 images scored, 2 left out (listed in "), said
    data = DataConfig(size_change="resize", channel_change="convert", unreadable="skip")
    split = data_pipeline.open_split(f"folder:{folder}", "out", data, None)
    pixels, _ = data_pipeline.load(split)
    check(table, pixels, made)
    names = ["cat/z.png", "dog/a.png", "dog/b.jpg"]
    assert table["source"].to_pylist() == [str(folder / name) for name in names]
    assert set(table["index"].to_pylist()) == {0} and set(table["label"].to_pylist()) == {-1}
    assert [(s["file"], s["record"]) for s in skipped] == [
        (str(folder / "cat" / name), None) for name in ("cut.jpg", "words.png")
    ]
    facts = json.loads(table.schema.metadata[rows.METADATA_KEY])
    assert facts["preprocessing"]["size_change"] == "resize"
    assert facts["preprocessing"]["channel_change"] == "convert"


def test_files_that_cannot_be_opened_are_left_out_and_listed(tmp_path):
    """As one that is gone since the pattern was matched."""
    gone = FileMetadata(str(tmp_path / "gone.png"), 10)
    (told,) = sources.ReadImageFile().process(gone)
    assert told.value == {"file": gone.path, "record": None, "reason": "No such file or directory"}
    gone = FileMetadata(str(tmp_path / "gone.tfrecord"), 10)
    (told,) = sources.ReadRecords(None).process(gone)
    assert told.value["file"] == gone.path and told.value["record"] == 0
    assert told.value["reason"].startswith("it cannot be read (")
    (tmp_path / "damaged.tfrecord.gz").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 99)
    for name in ("gone.tfrecord.gz", "damaged.tfrecord.gz"):
        (told,) = sources.ReadRecords(None).process(FileMetadata(str(tmp_path / name), 10))
        assert told.value["reason"].startswith("it cannot be read ("), told.value


def test_patterns_are_those_of_names_that_are_not_there(tmp_path, monkeypatch):
    for name in ("a [1]/x[2].png", "a 1/x2.png", "b1/x.png", "b2/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    matched = {
        "a [1]/*.png": ["a [1]/x[2].png"],
        "a [1]/x[2].png": ["a [1]/x[2].png"],
        "a 1/x[12].png": ["a 1/x2.png"],
        "b[12]/x.png": ["b1/x.png", "b2/x.png"],
        "**.png": ["a 1/x2.png", "a [1]/x[2].png", "b1/x.png", "b2/x.png"],
    }
    for text, names in matched.items():
        (found,) = FileSystems.match([remote.as_pattern(text)])
        paths = sorted(file.path for file in found.metadata_list)
        assert paths == [str(tmp_path / name) for name in names], text
    assert remote.as_pattern("fake://b/a [1]/*") == "fake://b/a [1]/*"


@pytest.mark.parametrize("name", ["a [1]", "b*", "c?"])
def test_an_output_that_is_a_pattern_is_refused(score, tmp_path, name):
    """Beam would delete what matches it."""
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    code, said, *_ = score(f"--input={tmp_path}/a.png", output=tmp_path / name / "out")
    assert code == 2 and "--output: got" in said and "without * ? [ in it" in said


def test_odd_names_odd_metadata_and_a_pipe(score, made, tmp_path):
    """As folders are: none of them once ended the run, or made it wait for ever."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = random_images(2)
    Image.fromarray(pixels[0, ..., 0]).save(folder / "a.png")
    os.rename(folder / "a.png", folder / os.fsdecode(b"caf\xe9.png"))
    late = pictures.DATE_TIME, pictures.RATIONAL, 1, bytes(8)
    exif = pictures.exif(pictures.orientation(3), late)
    Image.fromarray(pixels[1, ..., 0]).save(folder / "late.png", exif=exif)
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (folder / "whole.png").write_bytes(pictures.tiff(np.full((28, 28), 70_000, np.uint32)))
    os.mkfifo(folder / "pipe.png")
    code, said, table, skipped = score(f"--input={folder}/*.png")
    assert code == 0 and said.startswith("2 images scored, 3 left out (listed in "), said
    check(table, np.stack([pixels[0], pixels[1, ::-1, ::-1]]), made)
    assert table["source"].to_pylist() == [rf"{folder}/caf\xe9.png", f"{folder}/late.png"]
    assert [(s["file"], s["reason"][:18]) for s in skipped] == [
        (rf"{folder}/\xff.png", "it is no image of "),
        (f"{folder}/pipe.png", "it is no regular file"[:18]),
        (f"{folder}/whole.png", "its pixels are 32-"),
    ]


def test_a_folder_and_records_whose_names_are_not_utf_8(score, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    write_records(tmp_path / "a.tfrecord", [example(image=png(random_images(1)[0])), b"\xff"])
    os.rename(tmp_path / "a.tfrecord", folder / os.fsdecode(b"\xff.tfrecord"))
    os.mkfifo(folder / "pipe.tfrecord")
    code, said, table, skipped = score(f"--input={folder}/*.tfrecord")
    assert code == 0 and said.startswith("1 images scored, 2 left out"), said
    assert table["source"].to_pylist() == [rf"{tmp_path}/caf\xe9/\xff.tfrecord#0"]
    assert table["dataset"].to_pylist() == [rf"{tmp_path}/caf\xe9/*.tfrecord"]
    assert [s["file"].rpartition("/")[2] for s in skipped] == [r"\xff.tfrecord", "pipe.tfrecord"]


def test_shards_that_are_missing_are_counted_before_work(score, data_dir, tmp_path):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    (file,) = copy.glob("fashion_mnist/*/fashion_mnist-test.tfrecord-00000-of-00001")
    file.rename(file.with_name("fashion_mnist-test.tfrecord-00001-of-00004"))
    code, said, *_ = score("--input=tfds:fashion_mnist", f"--data_dir={copy}")
    assert code == 2 and "3 files are missing" in said


def test_another_set_under_an_official_name_is_refused(score, data_dir, monkeypatch):
    monkeypatch.setattr(prepare, "check_counts", check_counts)
    code, said, *_ = score("--input=tfds:fashion_mnist", f"--data_dir={data_dir}")
    assert code == 2 and "is another data set, with 20 images in split train instead of" in said


def test_another_shape_ends_the_run_where_no_change_is_allowed(score, tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    code, said, table, _ = score(f"--input={tmp_path}/*.png")
    assert code == 2 and table is None
    assert "a.png: the images are 20x30 RGB, the model's 28x28 gray" in said, said
    assert "--size_change=resize" in said and "config" not in said


def test_nothing_that_can_be_read_is_an_error(score, tmp_path):
    (tmp_path / "a.png").write_text("x")
    code, said, _, skipped = score(f"--input={tmp_path}/*.png")
    assert code == 2 and "No image was scored, 1 left out (listed in " in said
    assert len(skipped) == 1


class FakeFileSystem(LocalFileSystem):
    """Local files behind a scheme that only Beam knows."""

    @classmethod
    def scheme(cls):
        return "fake"

    def split(self, path):
        head, tail = super().split(_unnamed(path))
        return f"fake://{head}", tail

    def __getattribute__(self, name):
        plain = object.__getattribute__(self, name)
        if name not in ("open", "exists", "match", "create", "mkdirs", "rename", "delete"):
            return plain
        return lambda *args, **kwargs: _named_fake(plain(*map(_unnamed, args), **kwargs))


def _unnamed(value):
    """Paths without the scheme, alone or in lists."""
    if isinstance(value, list):
        return [_unnamed(part) for part in value]
    return value.removeprefix("fake://") if isinstance(value, str) else value


def _named_fake(value):
    """The files of matches with the scheme."""
    for match in value if isinstance(value, list) else ():
        for file in match.metadata_list:
            file.path = f"fake://{file.path}"
    return value


def test_everything_may_be_on_a_remote_file_system(score, made, tmp_path):
    pixels = random_images(3)
    write_records(tmp_path / "a.tfrecord", [example(image=png(p)) for p in pixels])
    code, said, table, _ = score(
        f"--input=fake://{tmp_path}/a.tfrecord",
        export=f"fake://{made[2]}",
        output=f"fake://{tmp_path}/scores/out",
    )
    assert code == 0 and said.startswith("3 images scored"), said
    check(table, pixels, made)
    assert table["source"].to_pylist()[2] == f"fake://{tmp_path}/a.tfrecord#2"


@pytest.mark.parametrize(("flags", "expected"), [((), 5), (("--batch_size=3",), 3)])
def test_batches_are_as_large_as_suits_the_export_or_as_is_said(
    score, tmp_path, monkeypatch, flags, expected
):
    sizes = []
    run = pipeline.run
    monkeypatch.setattr(
        pipeline, "run", lambda job, options: (sizes.append(job.batch_size), run(job, options))[1]
    )
    write_records(tmp_path / "a.tfrecord", [example(image=png(random_images(1)[0]))])
    code, said, *_ = score(f"--input={tmp_path}/a.tfrecord", *flags)
    assert code == 0, said
    assert sizes == [expected]


def test_exports_that_do_not_tell_their_batches_get_the_most(made, tmp_path):
    """Those of earlier versions."""
    module = tf.Module()
    with remote.local_saved_model(str(made[2] / "model")) as folder:
        module.loaded = tf.saved_model.load(folder)
        signatures = dict(module.loaded.signatures)
        tf.saved_model.save(module, str(tmp_path / "old"), signatures=signatures)
    assert inference.open_export(str(tmp_path / "old")).batch_size == 250


def test_scores_that_are_not_finite_are_left_out(made):
    place = sources.Place("a.tfrecord", 3, 1)
    export = inference.open_export(str(made[2]))
    told = dict.fromkeys(("log_prob", *export.terms, *export.verdicts), 1.0)
    told["log_det"] = float("nan")
    prediction = beam.ml.inference.base.PredictionResult(np.zeros(SHAPE, np.uint8), told)
    source = sources.Input("*", "tfrecord", "a", "all")
    (tagged,) = rows.ToRow(source, export).process((place, prediction))
    assert tagged.tag == sources.SKIPPED
    assert tagged.value == {
        "file": "a.tfrecord",
        "record": 3,
        "reason": "log_det is not a finite number",
    }


def test_flags_of_runners_elsewhere_are_passed_on():
    given = ["--runner=FlinkRunner", "--flink_master=a:1", "--only_in_java=3", "--extra_package=p"]
    told = beam_score.beam_options(given).get_all_options(retain_unknown_options=True)
    assert told["runner"] == "FlinkRunner" and told["flink_master"] == "a:1"
    assert told["only_in_java"] == "3" and told["extra_packages"] == ["p"]
    with pytest.raises(UserError, match="did you mean --batch_size"):
        beam_score.beam_options([*given, "--batchsize=3"])
    for local in ([], ["--runner=DirectRunner"], ["--runner=direct"]):
        assert beam_score.beam_options(local).get_all_options()["runner"] == "FnApiRunner"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--input={0}/*.tfrecord"], r"no file matches '{0}/*.tfrecord'"),
        (["--input={0}/none*"], "neither TFRecord (*.tfrecord*) nor images"),
        (["--input={0}", "--input_format=images"], "is a folder; valid is a pattern"),
        (["--input=tfds:mnits"], "(did you mean mnist?)"),
        (["--input=tfds:mnist:train2", "--data_dir={0}"], "no TFDS split 'train2' of mnist"),
        (["--input=none://x/*.png"], "cannot be looked for"),
        (["--input={0}/*.png", "--size_chnge=crop"], "(did you mean --size_change?)"),
        (["--input={0}/*.png", "--nonsense=1"], "got '--nonsense=1', a flag of neither this"),
        (["--input={0}/*.png", "--extra_package=x", "y"], "got 'y'"),
        (["--input={0}/*.png", "--size_change=x"], "argument --size_change: invalid choice"),
        (["--input={0}/*.png", "--batch_size=0"], "valid is an integer of at least 1"),
    ],
)
def test_wrong_inputs_are_named_before_work(score, tmp_path, flags, said):
    code, told, table, _ = score(*(flag.format(tmp_path) for flag in flags))
    assert code == 2 and table is None
    assert said.format(tmp_path) in told and told.startswith("tfp_ood: ")


def test_a_wrong_export_is_named(score, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    given = f"--input={tmp_path}/a.png"
    code, said, *_ = score(given, export=tmp_path / "nowhere")
    assert code == 2 and "--export: got" in said and "WORKDIR/export" in said
    module = tf.Module()
    function = tf.function(
        lambda images: {"x": images}, input_signature=[tf.TensorSpec([], tf.uint8)]
    )
    signatures = {"log_prob": function.get_concrete_function()}
    tf.saved_model.save(module, str(tmp_path / "export"), signatures=signatures)
    code, said, *_ = score(given, export=tmp_path / "export")
    assert code == 2 and "lacks the signature guard; it has log_prob." in said
    (tmp_path / "export" / "saved_model.pb").write_bytes(b"x")
    code, said, *_ = score(given, export=tmp_path / "export")
    assert code == 2 and "cannot be loaded" in said


def test_an_export_whose_guard_tells_too_little_is_named(score, tmp_path):
    """As exports were before the guard joined several detectors."""

    def telling(*keys):
        return tf.function(
            lambda images: {key: tf.zeros(tf.shape(images)[:1]) for key in keys},
            input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.uint8, name="images")],
        ).get_concrete_function()

    tf.saved_model.save(
        tf.Module(),
        str(tmp_path / "export"),
        signatures={
            "log_prob": telling("bits_per_dim", "log_prob"),
            "guard": telling("bits_per_dim", "log_prob", "percentile", "typicality_p_value"),
        },
    )
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    code, said, *_ = score(f"--input={tmp_path}/a.png", export=tmp_path / "export")
    assert code == 2 and "code_bits, is_out_of_distribution, p_value, reasons, score, as" in said
    assert "as those of earlier versions" in said


@pytest.mark.parametrize("old", ["out-00001-of-00003.parquet", "out-skipped-00000-of-00001.jsonl"])
def test_shards_of_two_runs_are_not_mixed(score, tmp_path, old):
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / old).write_bytes(b"")
    code, said, *_ = score(f"--input={tmp_path}/a.png")
    assert code == 2 and "of another run; valid is a new name" in said
