"""The command line: wrong input is refused in one line; the whole loop on small TFDS data."""

import dataclasses
import json
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.damaged import spoil
from tests.data import tiny
from tests.nasty import ALL, NOT_UTF_8
from tfp_ood import cli, options, stages
from tfp_ood.config import Config, ConfigError, DataConfig, ExportConfig
from tfp_ood.data import image_files, prepare, specs
from tfp_ood.paths import for_tensorflow
from tfp_ood.reporting import html, names
from tfp_ood.training import fit

ROOT = pathlib.Path(__file__).parents[1]
QUICKSTART = str(ROOT / "configs" / "quickstart.py")
ROTATED = str(ROOT / "configs" / "rotated_digits.py")
SMALL = [
    "--config.model.num_levels=1",
    "--config.model.num_steps=1",
    "--config.model.num_hidden=4",
    "--config.train.batch_size=4",
    "--config.train.num_steps=4",
    "--config.train.steps_per_epoch=2",
    "--config.train.warmup_steps=1",
    "--config.data.num_validation=4",
    "--config.sample.num_images=4",
]
UNWATCHED = "--config.evaluate.num_trajectory=0"  # saves a graph, where no trajectory is asked for


def command(workdir, data_dir, *flags):
    paths = [f"--workdir={workdir}", f"--data_dir={data_dir}"]
    return ["main.py", f"--config={QUICKSTART}", *paths, *SMALL, *flags]


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory, data_dir):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert cli.main(command(path, data_dir)) == 0
    return path


WRONG = {
    "no config": (["--workdir=w"], "--config is missing"),
    "no workdir": ([f"--config={QUICKSTART}"], "--workdir is missing"),
    "no such file": (["--config=nope.py", "--workdir=w"], "nope.py"),
    "unknown flag": ([f"--config={QUICKSTART}", "--workdir=w", "--foo=1"], "foo"),
    "mode": ([f"--config={QUICKSTART}", "--workdir=w", "--mode=fly"], "prepare|train"),
    "leftover": ([f"--config={QUICKSTART}", "--workdir=w", "bar"], "'bar'"),
    "key": (["--config.model.num_stepz=3"], "did you mean num_steps"),
    "group": (["--config.modle.num_steps=3"], "did you mean model"),
    "type": (["--config.model.num_steps=x"], "got 'x'; valid is an integer"),
    "batch of 0": (["--config.train.batch_size=0"], "got 0; valid is an integer of at least 1"),
    "levels": (["--config.model.num_levels=3"], "at most 2 for images of 28x28"),
    "data set": (["--config.data.out_of_distribution=minst"], "did you mean mnist"),
    "own data set": (["--config.data.in_distribution=fashion"], "fashion_mnist"),
    "nothing to judge": (["--config.data.out_of_distribution="], "at least one set"),
    "group as value": (["--config.model=3"], "valid is a group of keys"),
    "contrast": (["--config.data.out_of_distribution=contrast:2"], "a number from 0 to 1"),
    "folder": (["--config.data.out_of_distribution=folder:/no/such"], "existing folder"),
    "array": (["--config.data.out_of_distribution=array:/no/such.npy"], "existing .npy"),
    "bucket": ([f"--config={QUICKSTART}", "--workdir=gs://b/run"], "--workdir: got 'gs://b/run'; "),
    "data in a bucket": (["--config.seed=1", "--data_dir=s3://b"], "--data_dir: got 's3://b'; va"),
    "reference in a bucket": (["--config.seed=1", "--reference=hdfs://h/run"], "--reference: got "),
    "folder in a bucket": (["--config.data.in_distribution=folder:gs://b/x"], "'folder:gs://b/x'"),
    "no UTF-8": ([f"--config={QUICKSTART}", f"--workdir={NOT_UTF_8}"], "valid is a path in UTF-8"),
    "too long": ([f"--config={QUICKSTART}", f"--workdir={'x' * 256}"], "at most 255 bytes"),
    "comma": (
        ["--config.data.out_of_distribution=folder:/a, b"],
        """as in '"folder:a, b",mnist'""",
    ),
    "no halves": (["--config.data.image_shape=31,33,1"], "such as 32x32"),
}


WRONG_COMPARISONS = {
    "no folder": (["--workdirs=a,b"], "--workdir is missing"),
    "runs in a bucket": (["--workdirs=a,gs://b/c", "--workdir=w"], "--workdirs: got 'gs://b/c'; "),
    "page in a bucket": (["--workdirs=a,b", "--workdir=gs://b/w"], "--workdir: got 'gs://b/w'; "),
    "no runs": (["--workdirs=a,b", "--workdir=w"], "a is not a run with a current report"),
    "a config": (["--workdirs=a", "--workdir=w", f"--config={QUICKSTART}"], "without --config"),
    "an override": (["--workdirs=a", "--workdir=w", "--config.seed=1"], "without --config"),
    "images": (["--workdirs=a", "--workdir=w", "--images=mnist"], "without --images"),
    "a folder of data": (["--workdirs=a", "--workdir=w", "--data_dir=d"], "without --data_dir"),
    "a mode": (["--workdirs=a", "--workdir=w", "--mode=train"], "without --mode"),
    "no runs beside the paper": (["--mode=paper", "--workdir=w"], "name them as --workdirs="),
}


@pytest.mark.parametrize(("flags", "said"), WRONG_COMPARISONS.values(), ids=WRONG_COMPARISONS)
def test_wrong_comparisons_end_with_one_sentence_and_code_2(flags, said, capsys):
    assert cli.main(["main.py", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("tfp_ood: ") and error.count("\n") == 1


def test_a_finished_run_in_a_comparison(workdir, data_dir, tmp_path, capsys):
    assert cli.main(command(workdir, data_dir)) == 0
    flags = [f"--workdirs={workdir}", f"--workdir={tmp_path}"]
    assert cli.main(["main.py", *flags]) == 0
    *_, path = capsys.readouterr().out.strip().splitlines()
    assert path == f"report: {tmp_path / 'report' / 'index.html'}"


@pytest.mark.parametrize(("flags", "said"), WRONG.values(), ids=WRONG)
def test_wrong_input_ends_with_one_sentence_and_code_2(flags, said, capsys, tmp_path):
    if flags[0].startswith("--config."):
        flags = [f"--config={QUICKSTART}", f"--workdir={tmp_path / 'w'}", *flags]
    assert cli.main(["main.py", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("tfp_ood: ") and error.count("\n") == 1
    assert not (tmp_path / "w").exists() and not pathlib.Path("gs:").exists()


BROKEN = {
    "raises": ("def get_config():\n    raise ValueError('no luck')", "ValueError: no luck"),
    "no name": ("def get_config():\n    return undefined", "name 'undefined' is not defined"),
    "no module": ("import no_such_module", "No module named 'no_such_module'"),
    "no Python": ("def get_config(:", "SyntaxError: invalid syntax"),
    "no config": (
        "def get_config():\n    return 3",
        "gave int; valid is ml_collections.ConfigDict",
    ),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN)
def test_a_config_file_that_fails_says_so(text, said, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(text + "\n")
    assert cli.main(["main.py", f"--config={path}", "--workdir=w"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp_ood: --config: ") and said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ":glwo,cifar10",
            "config.family: got 'glwo'; valid is one of glow, real_nvp, pixel_cnn, vae",
        ),
        (
            ":glow, cifar",
            "config.pair: got 'cifar'; valid is one of fashion_mnist, cifar10, celeb_a",
        ),
        (
            ":glow",
            "--config: got 'glow' after the file's name; valid is FAMILY,PAIR or FAMILY,PAIR,S",
        ),
        ("", "--config: got '' after the file's name; valid is FAMILY,PAIR or FAMILY,PAIR,SIZE."),
    ],
)
def test_an_experiment_that_does_not_exist_is_refused(words, said, capsys):
    path = ROOT / "configs" / f"paper.py{words}"
    assert cli.main(["main.py", f"--config={path}", "--workdir=w"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tfp_ood: {said}") and error.count("\n") == 1


def test_wrong_input_of_the_real_program():
    flags = [f"--config={QUICKSTART}", "--workdir=w", "--config.seed=-1"]
    done = subprocess.run(
        [sys.executable, "main.py", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("tfp_ood: config.seed: got -1; valid is an integer from 0")


SHOWN = {
    "quickstart": (QUICKSTART, "train.batch_size", "64"),
    "rotated_digits": (ROTATED, "train.batch_size", "100"),
}


@pytest.mark.parametrize(("path", "key", "default"), SHOWN.values(), ids=SHOWN)
def test_show_has_every_key_and_marks_what_is_not_the_default(path, key, default, capsys):
    """Without a work directory or data; nothing is written."""
    assert cli.main(["main.py", f"--config={path}", "--mode=show", f"--config.{key}=7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    given = runpy.run_path(path)["get_config"]().to_dict()
    keys = [line[2:].split()[0] for line in lines]
    assert sorted(keys) == sorted(key for key, _ in options.flat(given))
    (changed,) = (line for line in lines if line[2:].startswith(f"{key} "))
    assert changed.startswith("* ") and changed.endswith(f"  7  (default: {default})")
    assert all(line.startswith("* ") == ("(default: " in line) for line in lines)
    (seed,) = (line for line in lines if line[2:].startswith("seed "))
    assert seed.split() == ["seed", "0"]


def test_of_a_value_that_is_given_twice_the_last_counts(tmp_path, monkeypatch, capsys):
    """Of tuples too, which may hold names with commas; paths are shown as they will be kept."""
    monkeypatch.chdir(tmp_path)
    key = "--config.data.out_of_distribution"
    flags = [f"{key}=mnist,noise", "--config.seed=1", f'{key}="folder:a, b",constant']
    flags += ["--config.seed=2", "--noconfig.train.memory_growth", "--config.train.memory_growth=1"]
    assert cli.main(["main.py", f"--config={QUICKSTART}", "--mode=show", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = dict(line[2:].split(maxsplit=1) for line in lines)
    assert shown["data.out_of_distribution"].startswith(f"('folder:{tmp_path}/a, b', 'constant') ")
    assert shown["seed"].startswith("2 ") and shown["train.memory_growth"] == "True"


@pytest.mark.parametrize("path", [QUICKSTART, ROTATED], ids=SHOWN)
def test_show_starts_no_tensorflow(path):
    code = (
        "import sys; from tfp_ood import cli; code = cli.main(sys.argv);"
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    argv = [sys.executable, "-c", code, f"--config={path}", "--mode=show"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "data.in_distribution" in done.stdout, done.stderr


def test_names_are_escaped_where_the_output_cannot_show_them():
    flags = [
        f"--config={QUICKSTART}",
        "--mode=show",
        "--config.data.in_distribution=folder:/\u7167",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "main.py", *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and rb"'folder:/\u7167'" in done.stdout, done.stderr


def test_show_of_what_was_trained(workdir, capsys):
    """Values of the training as in the work directory, the rest as in the command line."""
    flags = [f"--config={QUICKSTART}", f"--workdir={workdir}", "--mode=show"]
    flags += ["--config.train.learning_rate=0.5", "--config.sample.num_images=9"]
    assert cli.main(["main.py", *flags, "--trained_config"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["*", "train.learning_rate", "0.006  (default: 0.001)"] in lines
    assert ["*", "model.num_hidden", "4  (default: 64)"] in lines
    assert ["*", "sample.num_images", "9  (default: 64)"] in lines


def test_help_names_modes_and_keys(capsys):
    assert cli.main(["main.py", "--help"]) == 0
    text = capsys.readouterr().out
    for word in (*cli.MODES, "--config.train.batch_size=64", "--data_dir"):
        assert word in text


def test_help_may_be_cut_off():
    pipe = "set -o pipefail; python main.py --help | head -1"
    environment = {"PATH": f"{pathlib.Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", pipe], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.returncode in (0, 141)  # 0 if all went into the pipe at once
    assert done.stdout.count("\n") == 1


def test_the_whole_loop_leaves_everything(workdir):
    for name in (
        "config.json",
        "model/training.json",
        "scores/fashion_mnist.test.parquet",
        "scores/mnist.test.parquet",
        "samples/samples.npy",
        "report/index.html",
        "report/likelihoods.png",
        "report/likelihoods.pdf",
        "report/samples.png",
        "report/paths.png",
        "report/roc.pdf",
        "report/terms.png",
        "report/extremes.png",
        "report/complexity.png",
    ):
        assert (workdir / name).stat().st_size > 0, name
    summary = json.loads((workdir / "report" / "summary.json").read_text())
    assert summary["in_distribution"] == "fashion_mnist"
    assert summary["model"]["family"] == "glow" and summary["model"]["num_parameters"] > 0
    own, foreign = (summary["datasets"][f"{n}/test"] for n in ("fashion_mnist", "mnist"))
    for entry in (own, foreign):
        assert entry["num_images"] == tiny.NUM_TEST
        assert {"log_prob_mean", "bits_per_dim_mean", "bits_per_dim_std"} <= set(entry)
    metrics = foreign["scores"]["log_prob"]
    assert {"auroc", "auprc_out", "auprc_in", "fpr95"} <= set(metrics)


def test_again_does_nothing_but_the_report(workdir, data_dir, capsys):
    kept = [workdir / "model" / "training.json", *sorted((workdir / "scores").glob("*"))]
    before = [p.stat().st_mtime_ns for p in kept]
    assert cli.main(command(workdir, data_dir)) == 0
    assert [p.stat().st_mtime_ns for p in kept] == before
    *_, verdict, caution, path = capsys.readouterr().out.strip().splitlines()
    assert "MNIST gets" in verdict and "AUROC" in verdict
    assert caution.startswith("Caution: there are few images of FashionMNIST (7), MNIST (7). ")
    assert path == f"report: {workdir / 'report' / 'index.html'}"


def test_new_sets_alone_are_scored(workdir, data_dir, tmp_path, capsys):
    photos = tmp_path / "my photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i, size in enumerate([(40, 30), (28, 28), (64, 64)]):
        PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(photos / f"{i}.png")
    mnist = workdir / "scores" / "mnist.test.parquet"
    before = mnist.stat().st_mtime_ns
    sets = f"--config.data.out_of_distribution=mnist,constant,folder:{photos}"
    assert cli.main(command(workdir, data_dir, sets)) == 0
    assert mnist.stat().st_mtime_ns == before
    summary = json.loads((workdir / "report" / "summary.json").read_text())
    assert summary["datasets"]["constant/all"]["num_images"] == 256
    assert summary["datasets"][f"folder:{photos}/all"]["num_images"] == 3
    assert "Caution: my photos was" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "shape"), [("size_change", (30, 28, 1)), ("channel_change", (28, 28, 3))]
)
def test_images_of_another_shape_are_refused_before_training(
    flag, shape, data_dir, tmp_path, capsys
):
    path = tmp_path / "foreign.npy"
    np.save(path, np.zeros((2, *shape), np.uint8))
    flags = [f"--config.data.{flag}=error", f"--config.data.out_of_distribution=array:{path}"]
    assert cli.main(command(tmp_path / "run", data_dir, *flags)) == 2
    assert f"--config.data.{flag}=" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_training_config_is_refused(workdir, data_dir, capsys):
    before = (workdir / "model" / "training.json").stat().st_mtime_ns
    assert cli.main(command(workdir, data_dir, "--config.train.learning_rate=0.5")) == 2
    assert "config.train.learning_rate was 0.006, now 0.5" in capsys.readouterr().err
    assert (workdir / "model" / "training.json").stat().st_mtime_ns == before


def test_the_trained_config_holds_if_told(workdir, data_dir, tmp_path, capsys):
    run = shutil.copytree(workdir, tmp_path / "run")
    (run / "scores" / "mnist.test.parquet").unlink()
    flags = ["--config.train.learning_rate=0.5", "--config.model.num_steps=2", "--mode=evaluate"]
    assert cli.main(command(run, data_dir, *flags)) == 2
    assert "or --trained_config, which" in capsys.readouterr().err
    assert cli.main(command(run, data_dir, "--trained_config", *flags)) == 0
    said = capsys.readouterr().out
    assert "as it was trained: config.train.learning_rate was 0.006, not 0.5\n" in said
    assert "as it was trained: config.model.num_steps was 1, not 2\n" in said
    for name in ("mnist", "fashion_mnist"):  # the scores that the trained config gives
        path = pathlib.Path("scores") / f"{name}.test.parquet"
        assert pq.read_table(run / path).equals(pq.read_table(workdir / path))


def test_the_trained_config_needs_a_training(workdir, data_dir, tmp_path, capsys):
    assert cli.main(command(tmp_path / "run", data_dir, "--trained_config")) == 2
    assert "nothing was trained in" in capsys.readouterr().err
    assert (
        cli.main(["main.py", f"--config={ROTATED}", f"--workdir={workdir}", "--trained_config"])
        == 2
    )
    assert "config.json does not fit this --config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("evaluate", "--mode=train"),
        ("sample", "--mode=train"),
        ("report", "mode=ev"),
        ("export", "--mode=train"),
    ],
)
def test_a_stage_too_early_names_the_one_before(mode, said, data_dir, tmp_path, capsys):
    assert cli.main(command(tmp_path / "run", data_dir, f"--mode={mode}")) == 2
    assert said in capsys.readouterr().err


def test_export_is_a_stage_of_its_own(workdir, data_dir, capsys):
    assert cli.main(command(workdir, data_dir)) == 0
    assert not (workdir / "export").exists()
    # Of 4 validation images no smaller rate is possible.
    rate = "--config.export.false_alarm_rate=0.4"
    assert cli.main(command(workdir, data_dir, "--mode=export", rate)) == 0
    *_, path = capsys.readouterr().out.strip().splitlines()
    assert path == f"export: {workdir / 'export'}"
    for name in ("model/saved_model.pb", "model_card.md", "client.py"):
        assert (workdir / "export" / name).stat().st_size > 0, name
    assert cli.main(command(workdir, data_dir, "--mode=export")) == 2
    error = capsys.readouterr().err
    assert "config.export.false_alarm_rate: 0.05 with 2 validation images" in error


def test_export_names_the_sets_that_are_not_scored(workdir, data_dir, capsys):
    flags = ["--mode=export", "--config.data.out_of_distribution=mnist,noise"]
    assert cli.main(command(workdir, data_dir, *flags)) == 2
    error = capsys.readouterr().err
    assert "No current scores of noise/all" in error and "--mode=evaluate" in error


def test_classifiers_of_rotated_digits_have_no_export(tmp_path, capsys):
    flags = [f"--config={ROTATED}", f"--workdir={tmp_path / 'w'}"]
    assert cli.main(["main.py", *flags, "--mode=export"]) == 2
    assert "got 'export'; valid with this config is one of" in capsys.readouterr().err


def test_the_config_says_how_memory_of_gpus_is_taken(tmp_path, data_dir, monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    flags = ["--mode=evaluate", "--config.train.memory_growth=False"]
    assert cli.main(command(tmp_path / "run", data_dir, *flags)) == 2  # nothing is trained
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_training_without_data_names_prepare(tmp_path, capsys):
    assert cli.main(command(tmp_path / "run", tmp_path / "empty", "--mode=train")) == 2
    assert "--mode=prepare" in capsys.readouterr().err


@pytest.mark.parametrize(("split", "mode"), [("train", "train"), ("test", "evaluate")])
def test_a_damaged_record_is_named_and_nothing_is_lost(
    split, mode, workdir, data_dir, tmp_path, capsys
):
    data = pathlib.Path(shutil.copytree(data_dir, tmp_path / "data"))
    run = tmp_path / "run"
    if mode == "evaluate":
        shutil.copytree(workdir, run)
        (run / "scores" / "mnist.test.parquet").unlink()
    path = spoil(data, "mnist" if mode == "evaluate" else "fashion_mnist", split)
    flags = (f"--mode={mode}", UNWATCHED)
    assert cli.main(command(run, data, *flags)) == 2
    assert f"{path} is damaged (corrupted record" in capsys.readouterr().err
    assert cli.main(command(run, data_dir, *flags)) == 0  # with whole data it goes on


def test_a_damaged_record_is_named_by_sampling(data_dir, tmp_path, capsys):
    """VAEs show reconstructions beside their samples: of images that are read then."""
    data = pathlib.Path(shutil.copytree(data_dir, tmp_path / "data"))
    flags = [f"--config={ROOT / 'configs' / 'paper.py'}:vae,fashion_mnist,small"]
    flags += [f"--workdir={tmp_path / 'run'}", f"--data_dir={data}"]
    flags += [flag for flag in SMALL if "config.model." not in flag]
    flags += ["--config.model.num_filters=1", "--config.model.num_latents=2", UNWATCHED]
    assert cli.main(["main.py", *flags, "--mode=train"]) == 0
    path = spoil(data)
    assert cli.main(["main.py", *flags, "--mode=sample"]) == 2
    assert f"{path} is damaged (corrupted record" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("other"), tf.errors.DataLossError(None, None, "x")])
def test_other_failures_of_a_stage_stay_what_they_are(error, data_dir):
    """Damage of other files too, where every record of the sets is whole."""
    with pytest.raises(type(error)) as raised, stages._damage_named(Config(), str(data_dir)):
        raise error
    assert raised.value is error


@pytest.mark.slow
def test_the_whole_loop_on_tfds_mock_data(tmp_path, data_dir, monkeypatch):
    """On the data set that TFDS makes for tests, by its own builder."""
    builder = tfds.testing.DummyMnist(data_dir=str(tmp_path / "data"))
    builder.download_and_prepare()
    version = str(builder.version)
    spec = specs.DatasetSpec("dummy", f"dummy_mnist:{version}", (28, 28, 1), 20, 20, "none")
    monkeypatch.setitem(specs.SPECS, "dummy", spec)
    flags = ["--config.data.in_distribution=dummy", "--config.data.out_of_distribution=noise"]
    flags += ["--config.data.num_test=9", UNWATCHED]
    assert cli.main(command(tmp_path / "run", tmp_path / "data", *flags)) == 0
    summary = json.loads((tmp_path / "run" / "report" / "summary.json").read_text())
    assert summary["datasets"]["dummy/test"]["num_images"] == 9
    assert summary["datasets"]["noise/all"]["num_images"] == 9


def test_preparing_needs_no_work_directory(data_dir, tmp_path, monkeypatch):
    """Another program's config.json in the current folder is none of its business."""
    (tmp_path / "config.json").write_text('{"a": 1}')
    monkeypatch.chdir(tmp_path)
    flags = [f"--config={QUICKSTART}", f"--data_dir={data_dir}", "--mode=prepare"]
    assert cli.main(["main.py", *flags]) == 0


def test_what_does_not_fit_is_refused_before_it_is_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prepare, "_prepare_one", lambda *_: pytest.fail("fetched"))
    flags = [f"--config={ROOT / 'configs' / 'paper.py'}:glow,fashion_mnist,small"]
    flags += ["--mode=prepare"]
    flags += [f"--data_dir={tmp_path}", "--config.data.out_of_distribution=celeb_a"]
    assert cli.main(["main.py", *flags]) == 2
    assert "celeb_a: the images are" in capsys.readouterr().err


def photos_in(folder, number):
    folder.mkdir()
    rng = np.random.default_rng(number)
    for one in range(number):
        pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{one}.png")


def test_an_audit_of_a_folder(tmp_path, data_dir, monkeypatch, capsys):
    """Trains, judges, exports and says who would pass; files that cannot be read are listed.

    In folders with any names, as few images as the guard needs, from anywhere.
    """
    place = tmp_path / ALL
    shutil.copytree(data_dir, place / "data")
    photos_in(place / ALL, 160)
    photos_in(place / f"{ALL}2", 5)
    (place / ALL / "broken.jpg").write_bytes(b"x")
    flags = [f"--config={ROOT / 'configs' / 'audit.py'}", *SMALL, "--config.data.num_test=40"]
    flags += ["--config.data.num_validation=400", UNWATCHED]
    quoted = f"folder:{ALL}2".replace('"', '""')
    others = f'mnist,noise,blurred:1,contrast:0.1,"{quoted}"'
    monkeypatch.chdir(place)
    paths = ["--workdir=run", "--data_dir=data", f"--config.data.in_distribution=folder:{ALL}"]
    given = f"--config.data.out_of_distribution={others}"
    assert cli.main(["main.py", *flags, *paths, given, "--mode=audit"]) == 0
    assert capsys.readouterr().out.endswith(f"audit: {place / 'run' / 'audit' / 'index.html'}\n")
    text = (place / "run" / "audit" / "index.html").read_text()
    label = names.labels([(f"folder:{place / ALL}", "test")])[0]
    assert "broken.jpg" in text and "own, blurred 1" in text and html.escape(label) in text
    found = json.loads((place / "run" / "audit" / "audit.json").read_text())["sets"]
    assert len(found) == 6 and found["noise/all"]["num_images"] == 40
    assert found[f"folder:{place / ALL}2/all"]["num_images"] == 5
    assert (place / "run" / "export" / "client.py").exists()
    model = tf.saved_model.load(for_tensorflow(place / "run" / "export" / "model"))
    assert "guard" in model.signatures
    # From elsewhere too, the images are known.
    monkeypatch.chdir(tmp_path)
    flags += [f"--workdir={ALL}/run", "--mode=show", "--trained_config"]
    assert cli.main(["main.py", *flags]) == 0
    own = repr(f"folder:{place / ALL}")
    assert f"config.data.in_distribution was {own}, not 'folder:'\n" in capsys.readouterr().out


def test_a_first_training_that_is_killed_keeps_what_it_looked_at(tmp_path, data_dir, monkeypatch):
    """So that the next start decodes nothing; `--mode=prepare` looks at all."""
    photos_in(tmp_path / "photos", 60)
    looked, look = [], image_files._look
    monkeypatch.setattr(image_files, "_look", lambda path: looked.append(path) or look(path))

    def killed(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_train", killed)
    flags = [f"--config={ROOT / 'configs' / 'audit.py'}", f"--workdir={tmp_path / 'run'}"]
    flags += [f"--data_dir={data_dir}", f"--config.data.in_distribution=folder:{tmp_path}/photos"]
    flags += ["--config.data.out_of_distribution=noise"]
    for mode, code, number in (("train", 130, 60), ("train", 130, 0), ("prepare", 0, 60)):
        looked.clear()
        image_files._open_folder.cache_clear()
        assert cli.main(["main.py", *flags, f"--mode={mode}"]) == code
        assert len(looked) == number


def test_too_few_images_for_the_guard_are_refused_before_training(tmp_path, data_dir, capsys):
    """With what would do: the rate that is said does, and so does the number of images."""
    photos_in(tmp_path / "photos", 100)
    flags = [f"--config={ROOT / 'configs' / 'audit.py'}", f"--workdir={tmp_path / 'run'}"]
    flags += [f"--data_dir={data_dir}", f"--config.data.in_distribution=folder:{tmp_path}/photos"]
    flags += ["--config.data.out_of_distribution=noise", "--mode=audit"]
    assert cli.main(["main.py", *flags]) == 2
    error = capsys.readouterr().err
    for said in (
        "config.export.false_alarm_rate: got 0.05; valid is at least 0.0715 with the 25 images of",
        "for 0.05 train with config.data.num_validation of at least 37 and at least 148 images.",
    ):
        assert said in error
    assert error.count("\n") == 1 and not (tmp_path / "run").exists()
    photos = DataConfig(f"folder:{tmp_path}/photos", size_change="crop", image_shape=(32, 32, 3))
    own = dataclasses.replace(Config(), data=photos)
    stages._check_export(dataclasses.replace(own, export=ExportConfig(0.0715)), None, None)
    with pytest.raises(ConfigError, match=r"at least 37\.$"):  # of TFDS sets
        data = DataConfig(num_validation=10)
        stages._check_export(dataclasses.replace(own, data=data), None, data_dir)


def test_copies_are_no_held_out_images_of_their_own(tmp_path, data_dir):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)
    np.save(tmp_path / "mine.npy", np.tile(pixels, (4, 1, 1, 1)))
    data = DataConfig(f"array:{tmp_path / 'mine.npy'}", image_shape=(32, 32, 3))
    config = dataclasses.replace(Config(), data=data)
    said = (
        r"at least 0\.\d+ with the \d+ different images of .* train with config\.data\."
        r"num_validation of at least (\d+) and at least ([0-9,]+) images, if as many of them are co"
    )
    with pytest.raises(ConfigError, match=said) as refused:
        stages._check_export(config, None, data_dir)
    # What would do does.
    told = re.search(said, str(refused.value)).groups()
    held, number = (int(one.replace(",", "")) for one in told)
    pixels = np.random.default_rng(0).integers(0, 256, (number // 4, 32, 32, 3), np.uint8)
    np.save(tmp_path / "mine.npy", np.tile(pixels, (4, 1, 1, 1)))
    data = dataclasses.replace(data, num_validation=held)
    stages._check_export(dataclasses.replace(config, data=data), None, data_dir)


def test_new_images_are_monitored_by_a_finished_run(workdir, data_dir, tmp_path, capsys):
    """By the model as it was trained; the named images by their files."""
    run, photos = shutil.copytree(workdir, tmp_path / "run"), tmp_path / "new photos"
    photos_in(photos, 12)
    flags = ["--mode=monitor", "--trained_config", "--config.seed=3", f"--images=folder:{photos}"]
    flags += ["--config.export.false_alarm_rate=0.4", "--config.monitor.false_discovery_rate=0.5"]
    before = {path: path.stat().st_mtime_ns for path in (run / "scores").iterdir()}
    assert cli.main(command(run, data_dir, *flags)) == 0
    assert before.items() <= {p: p.stat().st_mtime_ns for p in (run / "scores").iterdir()}.items()
    *_, cannot, path = capsys.readouterr().out.strip().splitlines()
    assert cannot.startswith("Caution: 12 images are few.")
    path = pathlib.Path(path.removeprefix("monitor: "))
    assert path.parent.parent == run / "monitor" and "new photos" in path.read_text()
    facts = json.loads(path.with_name("monitor.json").read_text())
    assert facts["num_images"] == 12 and facts["num_own_images"] == tiny.NUM_TEST
    assert all(one["name"] == f"{one['name'][:-4]}.png" for one in facts["named"])
    assert not (run / "audit").exists()


@pytest.mark.parametrize("is_noted", [True, False])
def test_of_many_new_images_some_are_monitored_and_the_own_ones_stay(
    is_noted, workdir, data_dir, tmp_path
):
    run, photos = shutil.copytree(workdir, tmp_path / "run"), tmp_path / "new"
    photos_in(photos, 12)
    flags = ["--mode=monitor", f"--images=folder:{photos}", "--config.data.num_test=5"]
    before = {path: path.stat().st_mtime_ns for path in (run / "scores").iterdir()}
    if not is_noted:
        (run / "asked.json").unlink()
    assert cli.main(command(run, data_dir, *flags, "--config.export.false_alarm_rate=0.4")) == 0
    assert before.items() <= {p: p.stat().st_mtime_ns for p in (run / "scores").iterdir()}.items()
    (path,) = (run / "monitor").glob("*/monitor.json")
    facts = json.loads(path.read_text())
    assert facts["num_images"] == 5 and facts["num_own_images"] == tiny.NUM_TEST


def test_a_monitor_without_a_guard_is_refused_before_it_scores(workdir, data_dir, tmp_path, capsys):
    run, photos = shutil.copytree(workdir, tmp_path / "run"), tmp_path / "new"
    photos_in(photos, 12)
    before = sorted((run / "scores").iterdir())
    flags = [
        "--mode=monitor",
        f"--images=folder:{photos}",
        "--config.export.false_alarm_rate=0.001",
    ]
    assert cli.main(command(run, data_dir, *flags)) == 2
    assert "config.export.false_alarm_rate: got 0.001; valid is at least" in capsys.readouterr().err
    assert sorted((run / "scores").iterdir()) == before


def test_a_relative_name_of_monitored_images_is_none_to_judge_against(
    workdir, data_dir, tmp_path, monkeypatch
):
    run, before = shutil.copytree(workdir, tmp_path / "run"), (workdir / "asked.json").read_text()
    photos_in(tmp_path / "new", 12)
    monkeypatch.chdir(tmp_path)
    flags = ["--mode=monitor", "--images=folder:new", "--config.export.false_alarm_rate=0.4"]
    assert cli.main(command(run, data_dir, *flags)) == 0
    assert (run / "asked.json").read_text() == before


def test_a_config_file_may_leave_a_flag_s_group_to_its_defaults(tmp_path, capsys):
    path = tmp_path / "short.py"
    path.write_text(
        "import ml_collections\n"
        "def get_config():\n"
        "  return ml_collections.ConfigDict({'data': {'in_distribution': 'fashion_mnist'}})\n"
    )
    flags = ["main.py", f"--config={path}", "--mode=show", f"--reference={tmp_path}"]
    assert cli.main(flags) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"* evaluate.reference '{tmp_path}' (default: '')" in shown
    assert cli.main([*flags[:3], "--config.train.num_steps=5"]) == 2
    said = "--config: the file leaves 'train' out; valid is one made from"
    assert said in capsys.readouterr().err


NOT_MONITORED = {
    "no images": ([], "config.monitor.images: got ''; valid is folder:PATH or array:PATH.npy of n"),
    "own images": (["--images=fashion_mnist"], "the own test images are what new ones are compar"),
    "no folder": (["--images=folder:/no/such"], "config.monitor.images: got 'folder:/no/such'; "),
    "another mode": (["--images=mnist", "--mode=run"], "--images: are judged by a finished run; v"),
    "a bucket": (["--images=folder:gs://b/x"], "config.monitor.images: got 'folder:gs://b/x'; "),
}


@pytest.mark.parametrize(("flags", "said"), NOT_MONITORED.values(), ids=NOT_MONITORED)
def test_what_cannot_be_monitored_is_named(flags, said, workdir, data_dir, capsys):
    assert cli.main(command(workdir, data_dir, "--mode=monitor", *flags)) == 2
    assert said in capsys.readouterr().err and not (workdir / "monitor").exists()


def test_monitoring_needs_a_finished_run_with_a_guard(tmp_path, data_dir, capsys):
    flags = ["--mode=monitor", "--images=mnist"]
    assert cli.main(command(tmp_path / "run", data_dir, *flags)) == 2
    assert f"no model was trained in {tmp_path / 'run'} yet" in capsys.readouterr().err
    flags = [f"--config={ROTATED}", f"--workdir={tmp_path / 'run'}", *flags]
    assert cli.main(["main.py", *flags]) == 2
    assert "--images: this --config has no guard that could judge them" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_reference_that_is_none_is_refused_before_training(tmp_path, data_dir, capsys):
    flags = [f"--reference={tmp_path / 'nowhere'}"]
    assert cli.main(command(tmp_path / "run", data_dir, *flags)) == 2
    assert "valid is the work directory of a run whose training has" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_among_its_own_images_is_refused_before_training(tmp_path, data_dir, capsys):
    photos_in(tmp_path / "photos", 4)
    flag = f"--config.data.in_distribution=folder:{tmp_path}/photos"
    assert cli.main(command(tmp_path / "photos" / "runs" / "a", data_dir, flag)) == 2
    assert "is inside of folder:" in capsys.readouterr().err
    assert len(os.listdir(tmp_path / "photos")) == 4


def test_an_audit_asks_for_a_folder(capsys, tmp_path):
    path = ROOT / "configs" / "audit.py"
    assert cli.main(["main.py", f"--config={path}", f"--workdir={tmp_path / 'w'}"]) == 2
    assert "the path of an existing folder after `folder:`" in capsys.readouterr().err
