"""Runs from Python: the same files, figures and sentences as those of the command line."""

import dataclasses
import errno
import json
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from sklearn.base import clone

import tfp_ood
from tests.api.tiny import CONFIG, FOREIGN, OWN
from tfp_ood import EvaluationError, ImageError, TrainingError, UserError, cli, stages
from tfp_ood import config as config_lib
from tfp_ood.api import fit as fit_lib
from tfp_ood.api import recorded
from tfp_ood.api import run as run_lib
from tfp_ood.evaluation import asked, tables
from tfp_ood.workdir import open_workdir


def test_a_run_that_was_moved_goes_on(run, tmp_path, stored_sets):
    """With the arrays that it keeps, whose names are of where they were."""
    moved = tmp_path / "moved"
    shutil.move(run.workdir, moved)
    try:
        loaded = tfp_ood.load_run(moved)
        assert loaded.weights == run.weights and loaded.workdir == moved
        assert (loaded.export(stored_sets) / "model_card.md").exists()
        training, tables_before = moved / "model" / "training.json", loaded.sets
        before = training.stat().st_mtime_ns
        others = ["mnist", FOREIGN]
        again = tfp_ood.fit(
            OWN, out_of_distribution=others, workdir=moved, config=CONFIG, data_dir=stored_sets
        )
        assert training.stat().st_mtime_ns == before and again.sets == tables_before
        assert len(list((moved / "arrays").iterdir())) == 2
        with pytest.raises(UserError, match="holds a model of another array of images"):
            tfp_ood.fit(OWN[:-1], workdir=moved, config=CONFIG)
    finally:
        shutil.move(moved, run.workdir)


LIGHT = """
import sys
import tfp_ood

assert not {"numpy", "tensorflow", "sklearn"} & set(sys.modules), "import"
tfp_ood.load_run, tfp_ood.fit, tfp_ood.Run, tfp_ood.Config, tfp_ood.UserError
run = tfp_ood.load_run(sys.argv[1])
run.scores(), run.summary, run.sets, run.config
assert "tensorflow" not in sys.modules, "load_run"
"""


def test_tensorflow_starts_when_a_model_is_used(run):
    subprocess.run([sys.executable, "-c", LIGHT, str(run.workdir)], check=True)


def test_every_name_of_the_package_is_there():
    for name in tfp_ood.__all__:
        assert getattr(tfp_ood, name).__doc__ and name in dir(tfp_ood)
    with pytest.raises(AttributeError, match="no attribute 'lod_run'"):
        tfp_ood.lod_run  # noqa: B018


@pytest.fixture(name="loaded")
def _loaded(run):
    return tfp_ood.load_run(run.workdir)


def test_a_loaded_run_is_the_one_that_was_trained(run, loaded):
    unsaid = dataclasses.replace(run.config.evaluate, num_trajectory=250)  # of curves alone
    assert loaded.config == dataclasses.replace(run.config, evaluate=unsaid)
    assert loaded.workdir == pathlib.Path(run.workdir)
    assert loaded.config.export.false_alarm_rate == 0.25
    assert pickle.loads(pickle.dumps(run)) == run


def test_likelihoods_and_scores_are_those_of_the_tables(run):
    table = run.scores(run.config.data.out_of_distribution[1])
    assert isinstance(table, pa.Table) and table.num_rows == len(FOREIGN)
    np.testing.assert_allclose(run.log_prob(FOREIGN), table["log_prob"], 1e-5)
    np.testing.assert_allclose(run.bits_per_dim(FOREIGN[..., 0]), table["bits_per_dim"], 1e-5)
    assert run.scores("mnist").num_rows == 7 and run.scores().num_rows == 6
    assert run.scores(split="validation").num_rows == 15


def test_the_detector_is_the_guard_of_the_report(run, loaded):
    told = loaded.detector.predict(FOREIGN)
    assert told.column_names == ["score", "p_value", "is_out_of_distribution", "reasons"]
    flagged = np.array(told["is_out_of_distribution"])
    assert flagged.mean() == loaded.summary.out_sets[1].flagged
    np.testing.assert_allclose(loaded.detector.score(FOREIGN), told["score"])
    assert list(told["score"].to_numpy() > loaded.detector.threshold) == list(flagged)
    assert all("unlikely" in words for words in told["reasons"].to_pylist())


def test_the_guard_s_verdicts_on_a_set_that_was_scored(run):
    """Those of its images, which need not be there."""
    name = run.config.data.out_of_distribution[1]
    told, expected = run.verdicts(name).to_pydict(), run.detector.predict(FOREIGN).to_pydict()
    np.testing.assert_allclose(told.pop("score"), expected.pop("score"), 1e-6)
    assert told.pop("source") == [str(number) for number in range(len(FOREIGN))]
    assert told == expected
    own = np.load(run.config.data.in_distribution.removeprefix("array:"))
    of_own = run.verdicts().to_pydict()
    chosen = own.reshape(len(own), *run.config.data.image_shape)[np.int64(of_own["source"])]
    np.testing.assert_allclose(run.detector.score(chosen), of_own["score"], 1e-6)
    assert "source" not in run.verdicts("mnist").column_names
    assert run.verdicts().num_rows == 6 and run.verdicts("mnist").num_rows == 7
    with pytest.raises(EvaluationError, match="There are no scores of kmnist"):
        run.verdicts("kmnist")


def test_arrays_may_have_names(tmp_path):
    """By which pages call them, and which their scores are asked for with."""
    config = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, num_test=8))
    sets = {"bright": FOREIGN, "dark": FOREIGN // 8}
    run = tfp_ood.fit({"scans": OWN}, out_of_distribution=sets, workdir=tmp_path, config=config)
    assert [one.label for one in run.summary.datasets.values()] == ["scans", "bright", "dark"]
    assert "trained on scans, know" in (tmp_path / "report" / "index.html").read_text()
    assert run.scores("dark").num_rows == run.verdicts("dark").num_rows == 8
    trained = (tmp_path / "model" / "training.json").stat().st_mtime_ns
    again = tfp_ood.fit(OWN, out_of_distribution=FOREIGN, workdir=tmp_path, config=config)
    assert (tmp_path / "model" / "training.json").stat().st_mtime_ns == trained
    assert again.summary.in_set.label == "scans" and len(list((tmp_path / "arrays").iterdir())) == 3


def test_a_name_is_of_one_set_of_the_run(run):
    """Not of one that was scored before, nor of two."""
    kept = f"array:{run.workdir}/arrays"
    names = {"one": f"{kept}/a-{'0' * 16}.npy", "another": f"{kept}/a-{'1' * 16}.npy"}
    for judged, said in (
        ((), "no scores of a in"),
        (tuple(names.values()), "two arrays have this"),
    ):
        data = dataclasses.replace(run.config.data, out_of_distribution=judged)
        loaded = dataclasses.replace(run, config=dataclasses.replace(run.config, data=data))
        with pytest.raises(EvaluationError, match=said):
            loaded.scores("a")


def test_another_worker_waits_for_the_arrays_of_the_first(tmp_path, monkeypatch):
    """And leaves none; what is wrong with other sets it refuses at once."""
    task = {"type": "worker", "index": 1}
    cluster = {"cluster": {"worker": ["a:1", "b:2"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    monkeypatch.setattr(fit_lib, "_PATIENCE", 0.3)
    with pytest.raises(UserError, match="did you mean mnist"):
        tfp_ood.fit(OWN, out_of_distribution="minst", workdir=tmp_path / "run", config=CONFIG)
    with pytest.raises(UserError, match="was not written within 0 s by the first of the workers"):
        tfp_ood.fit(OWN, workdir=tmp_path / "run", config=CONFIG)
    assert not (tmp_path / "run" / "arrays").exists()


def test_samples_are_those_of_their_seed(run):
    drawn = run.sample(3, seed=4, temperature=0.7)
    assert drawn.dtype == np.uint8 and drawn.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(run.sample(3, seed=4, temperature=0.7), drawn)


WRONG_SAMPLES = {
    "number": ((0,), "num_images: got 0; valid is an integer of at least 1"),
    "half": ((1.5,), "num_images: got 1.5; valid is an integer"),
    "seed": ((1, -1), "seed: got -1; valid is an integer from 0"),
    "temperature": ((1, 0, float("nan")), "temperature: got nan; valid is a finite number"),
    "text": (("3",), "num_images: got '3'; valid is an integer"),
    "infinity": ((float("inf"),), "num_images: got inf; valid is an integer"),
}


@pytest.mark.parametrize(("given", "said"), WRONG_SAMPLES.values(), ids=WRONG_SAMPLES)
def test_samples_that_cannot_be_drawn_are_refused(given, said, run):
    with pytest.raises(UserError, match=said):
        run.sample(*given)


WRONG_IMAGES = {
    "type": (FOREIGN / 255.0, r"got float64 \[10, 8, 8, 1\].*values from 0 \(black\) to 255"),
    "shape": (FOREIGN[:, :4], r"valid is uint8 \[N, 8, 8, 1\] or \[N, 8, 8\] with N of at least 1"),
    "colour": (FOREIGN.repeat(3, -1), r"got uint8 \[10, 8, 8, 3\]"),
    "one image": (FOREIGN[0, ..., 0], r"got uint8 \[8, 8\]"),
    "none": (FOREIGN[:0], r"got uint8 \[0, 8, 8, 1\]"),
}


@pytest.mark.parametrize(("images", "said"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_wrong_images_are_refused_everywhere(images, said, run):
    for judge in (run.log_prob, run.bits_per_dim, run.detector.score, run.detector.predict):
        with pytest.raises(ImageError, match=said):
            judge(images)


def test_pictures_are_not_read_before_tensorflow_is_started_as_models_need_it(run, monkeypatch):
    done = []
    monkeypatch.setattr(run_lib.devices, "share_gpus", lambda growth: done.append(growth))
    monkeypatch.setattr(run_lib.devices, "start_tensorflow", lambda: done.append("started"))
    monkeypatch.setattr(run_lib.images_lib, "read_pictures", lambda *_: done.append("read"))
    run.read_images(["a.png"])
    assert done == [True, "started", "read"]


def test_pictures_of_any_kind_come_in_the_shape_of_the_model(run, tmp_path):
    PIL.Image.fromarray(FOREIGN[0, ..., 0]).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (30, 20), "white").save(tmp_path / "b.jpg")
    refused = dataclasses.replace(run.config.data, size_change="error")
    strict = dataclasses.replace(run, config=dataclasses.replace(run.config, data=refused))
    read = run.read_images([tmp_path / "a.png", tmp_path / "b.jpg"])
    np.testing.assert_array_equal(read[0], FOREIGN[0])
    assert read.shape == (2, 8, 8, 1) and read[1].min() > 250
    for one in (tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_array_equal(run.read_images(one), read[:1])
    with pytest.raises(tfp_ood.DataError, match=r"b\.jpg: the images are 20x30 RGB"):
        strict.read_images([tmp_path / "b.jpg"])
    (tmp_path / "c.png").write_bytes(b"x")
    for files, said in (([tmp_path / "c.png"], r"c\.png: cannot be read"), ([], "no files")):
        with pytest.raises(tfp_ood.DataError, match=said):
            run.read_images(files)


def test_scores_that_are_not_there_are_named(run):
    with pytest.raises(EvaluationError, match=r"no scores of noise in .*but of array:.*evaluate"):
        run.scores("noise")


@pytest.fixture(name="own_copy")
def _own_copy(run, tmp_path):
    """A copy of the run's work directory."""
    return open_workdir(shutil.copytree(run.workdir, tmp_path / "copy"))


def test_what_other_weights_left_is_refused(own_copy):
    loaded = tfp_ood.load_run(own_copy.root)
    (data,) = own_copy.model.glob("*.data-*")
    data.write_bytes(data.read_bytes() + b"x")
    for ask in (
        lambda: loaded.model,
        lambda: loaded.detector,
        loaded.scores,
        lambda: loaded.summary,
    ):
        with pytest.raises(TrainingError, match=r"replaced or removed.*load it again"):
            ask()
    again = tfp_ood.load_run(own_copy.root)
    for ask in (again.scores, lambda: again.detector):
        with pytest.raises(EvaluationError, match="older than the weights"):
            ask()
    with pytest.raises(EvaluationError, match="of other weights than those"):
        again.summary  # noqa: B018


def test_a_run_without_report_or_scores_says_what_makes_them(own_copy):
    shutil.rmtree(own_copy.report)
    loaded = tfp_ood.load_run(own_copy.root)
    with pytest.raises(EvaluationError, match="has no report yet; --mode=report makes it"):
        loaded.summary  # noqa: B018
    judged = tfp_ood.load_run(own_copy.root).config.data.out_of_distribution
    assert set(judged) == set(loaded.config.data.out_of_distribution)
    own_copy.summary.parent.mkdir()
    own_copy.summary.write_text("{")
    with pytest.raises(EvaluationError, match=r"summary\.json cannot be read"):
        loaded.summary  # noqa: B018
    shutil.rmtree(own_copy.scores)
    bare = tfp_ood.load_run(own_copy.root)
    assert bare.sets == [] and bare.log_prob(FOREIGN).shape == (10,)
    with pytest.raises(EvaluationError, match=r"There are no scores in .*--mode=evaluate makes"):
        bare.scores()
    with pytest.raises(EvaluationError, match=r"no score table .*--mode=evaluate makes it"):
        bare.detector  # noqa: B018


def test_what_is_no_run_is_refused(own_copy, tmp_path):
    with pytest.raises(TrainingError, match="holds no trained model; run --mode=train first"):
        tfp_ood.load_run(tmp_path / "nothing")
    with pytest.raises(UserError, match="--workdir: got 'gs://b/run'; valid is a path of this"):
        tfp_ood.load_run("gs://b/run")
    own_copy.config.write_text(json.dumps({"seed": 0, "data": {}}))
    with pytest.raises(TrainingError, match="no run of a likelihood model"):
        tfp_ood.load_run(own_copy.root)


def test_the_same_call_does_what_is_left_and_no_more(run):
    weights = run.workdir / "model" / "training.json"
    before = weights.stat().st_mtime_ns
    again = tfp_ood.fit(OWN, workdir=run.workdir, config=CONFIG)
    assert again.weights == run.weights and weights.stat().st_mtime_ns == before
    assert len(list((run.workdir / "arrays").iterdir())) == 2


@pytest.mark.parametrize("kind", ["folder", "set"])
def test_a_command_and_a_program_go_on_in_one_place(kind, tmp_path, stored_sets):
    """Folders and named sets are trained on as arrays are, whoever begins."""
    images, name = "fashion_mnist", "fashion_mnist"
    if kind == "folder":
        images, name = tmp_path / "own", f"folder:{tmp_path / 'own'}"
        images.mkdir()
        for number, pixels in enumerate(OWN):
            PIL.Image.fromarray(pixels).save(images / f"{number}.png")
    data = dataclasses.replace(CONFIG.data, in_distribution=name, num_validation=8)
    data = dataclasses.replace(data, out_of_distribution=("noise",))
    config = dataclasses.replace(CONFIG, data=data)
    file, workdir = tmp_path / "config.py", tmp_path / "run"
    said = config_lib.to_config_dict(config).to_dict()
    file.write_text(
        f"import ml_collections\n\n\ndef get_config():\n"
        f"    return ml_collections.ConfigDict({said!r})\n"
    )
    flags = [f"--config={file}", f"--workdir={workdir}", f"--data_dir={stored_sets}"]
    assert cli.main(["main.py", *flags, "--mode=train"]) in (0, None)
    trained = (workdir / "model" / "training.json").stat().st_mtime_ns
    run = tfp_ood.fit(images, workdir=workdir, config=config, data_dir=stored_sets)
    assert (workdir / "model" / "training.json").stat().st_mtime_ns == trained
    assert run.config == config and len(run.summary.datasets) == 2
    page = (workdir / "report" / "index.html").stat().st_mtime_ns
    assert cli.main(["main.py", *flags, "--mode=evaluate"]) in (0, None)
    scores = [path.stat().st_mtime_ns for path in (workdir / "scores").glob("*.parquet")]
    assert len(scores) == 3 and max(scores) < page


def test_other_images_in_the_same_place_are_refused(run):
    with pytest.raises(UserError, match="holds a model of another array of images"):
        tfp_ood.fit(OWN[:-1], workdir=run.workdir, config=CONFIG)
    with pytest.raises(UserError, match=r"trained with another config: config\.seed was 0, now 1"):
        tfp_ood.fit(OWN, workdir=run.workdir, config=dataclasses.replace(CONFIG, seed=1))
    assert len(list((run.workdir / "arrays").iterdir())) == 2


WRONG_FITS = {
    "array": ((OWN / 2.0,), {}, r"images: this one is float64 \[60, 8, 8\]; valid is uint8"),
    "one image": ((OWN[0][..., np.newaxis],), {}, "one gray image, which is saved as"),
    "kind": (([OWN],), {}, "images: got list; valid is a NumPy array"),
    "name": (("fashion",), {}, "did you mean fashion_mnist"),
    "config": ((OWN,), {"config": 3}, "config: got int; valid is a tfp_ood.Config"),
    "key": ((OWN,), {"config": {"modle": {}}}, "did you mean model"),
    "foreign": ((OWN,), {"out_of_distribution": "minst", "config": CONFIG}, "did you mean mnist"),
    "itself, named": (
        ({"scans": OWN},),
        {"out_of_distribution": {"copy": OWN}, "config": CONFIG},
        "different names",
    ),
    "two": (({"a": OWN, "b": OWN},), {}, "images: got 2 by their names; valid is one set"),
    "label": ((OWN,), {"out_of_distribution": {"a b": FOREIGN}, "config": CONFIG}, "valid is a na"),
    "labelled name": (({"a": "mnist"},), {}, "for a NumPy array; other sets have names of their"),
    "channels first": ((FOREIGN.reshape(10, 1, 8, 8),), {}, r"come last, as images\.transpose\("),
    "none": ((OWN,), {"out_of_distribution": None}, "out_of_distribution: got None; valid is"),
    "itself": ((OWN,), {"out_of_distribution": OWN, "config": CONFIG}, "different names"),
}


@pytest.mark.parametrize(("given", "changes", "said"), WRONG_FITS.values(), ids=WRONG_FITS)
def test_what_cannot_be_trained_is_refused_in_one_sentence(given, changes, said, tmp_path):
    with pytest.raises(UserError, match=said):
        tfp_ood.fit(*given, workdir=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fit_lib.stages, "run", full)
    with pytest.raises(UserError, match="the disk is full, or a quota"):
        tfp_ood.fit(OWN, workdir=tmp_path / "run", config=CONFIG)


def test_a_config_file_s_config_is_taken_as_it_is():
    given = config_lib.to_config_dict(CONFIG)
    assert fit_lib.typed(given) == fit_lib.typed(given.to_dict()) == fit_lib.typed(CONFIG) == CONFIG


def test_default_configs_fit_images_of_any_shape(tmp_path):
    shapes = {
        (28, 28, 1): ((28, 28, 1), 2, "crop"),
        (32, 32, 3): ((32, 32, 3), 3, "crop"),
        (33, 30, 1): ((32, 32, 1), 3, "resize"),
        (1, 7, 1): ((2, 8, 1), 1, "resize"),
        (200, 100, 3): ((32, 32, 3), 3, "crop"),
        (128, 1000, 1): ((32, 32, 3), 3, "resize"),
        (1000, 300, 1): ((32, 32, 3), 3, "resize"),
    }
    for shape, expected in shapes.items():
        config = tfp_ood.default_config(np.zeros((3, *shape), np.uint8))
        made = (config.data.image_shape, config.model.num_levels, config.data.size_change)
        assert made == expected, shape
    PIL.Image.new("L", (9, 9)).save(tmp_path / "a.png")
    for images in (tmp_path, f"folder:{tmp_path}", "cifar10"):
        assert tfp_ood.default_config(images).data.image_shape == (32, 32, 3)
    np.save(tmp_path / "a.npy", OWN)
    assert tfp_ood.default_config(tmp_path / "a.npy").data.image_shape == (8, 8, 1)


ENDS = {
    "Ctrl-C": (signal.SIGINT, KeyboardInterrupt, "goes on at step 1"),
    "SIGTERM": (signal.SIGTERM, SystemExit, "143"),
}


@pytest.mark.parametrize(("number", "error", "said"), ENDS.values(), ids=ENDS)
def test_a_signal_ends_a_fit_as_python_programs_expect(number, error, said, monkeypatch, tmp_path):
    """After the step; and the same call goes on."""
    from tfp_ood.training import backups, callbacks

    end, place = callbacks.StopOnNonFinite.on_train_batch_end, open_workdir(tmp_path / "run")

    def signalled(self, batch, logs=None):
        end(self, batch, logs)
        signal.raise_signal(number)

    # What a process in the background ignores stays ignored.
    heeded = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}[number]
    before = signal.signal(number, heeded)
    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", signalled)
    try:
        with pytest.raises(error, match=said):
            tfp_ood.fit(OWN, workdir=place.root, config=CONFIG)
        assert signal.getsignal(number) == heeded
    finally:
        signal.signal(number, before)
    assert backups.saved_step(place) == 1
    monkeypatch.undo()
    assert tfp_ood.fit(OWN, workdir=place.root, config=CONFIG).weights == place.weights


def test_evaluation_is_recovered_from_the_tables(own_copy, monkeypatch):
    """How many draws, and which passes, so that images in memory are asked the same."""
    path = own_copy.score_table(tfp_ood.load_run(own_copy.root).sets[0][0], "validation")
    table = tables.read_score_table(path)
    facts = {**table.metadata, "num_draws": 7, "symmetries": True, "reference": {"weights": "x"}}
    changed = dataclasses.replace(table, metadata=facts)
    monkeypatch.setattr(tables, "read_score_table", lambda _: changed)
    found = tfp_ood.load_run(own_copy.root).config.evaluate
    assert (found.num_draws, found.symmetries, found.reference) == (7, True, "")


def test_new_images_are_asked_what_the_held_out_ones_were(run, monkeypatch):
    """Not what a config says that was read before another evaluation."""
    from tfp_ood.evaluation import evaluate  # starts TensorFlow

    asked_of = []
    made = evaluate.scorer
    monkeypatch.setattr(
        evaluate, "scorer", lambda *given, **more: asked_of.append(given[1]) or made(*given, **more)
    )
    before = dataclasses.replace(run.config.evaluate, num_draws=7, symmetries=True)
    loaded = dataclasses.replace(run, config=dataclasses.replace(run.config, evaluate=before))
    np.testing.assert_allclose(loaded.detector.score(FOREIGN), run.detector.score(FOREIGN), 1e-6)
    assert asked_of[0] == loaded.held_out().metadata["num_draws"] == 1


def test_the_estimator_s_scores_and_decisions_are_those_of_the_run(run):
    """In the run's own work directory, where nothing is left to train."""
    made = tfp_ood.OutlierDetector(config=CONFIG, false_alarm_rate=0.25, workdir=str(run.workdir))
    fitted = clone(made).fit(OWN)
    assert fitted.run_.weights == run.weights
    images = np.concatenate([OWN[..., np.newaxis], FOREIGN])
    told = run.detector.predict(images)
    np.testing.assert_allclose(fitted.score_samples(images), -told["score"].to_numpy(), 1e-6)
    flagged = told["is_out_of_distribution"].to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(fitted.predict(images) == -1, flagged)
    assert flagged[-10:].all() and not flagged[:-10].all()
    again = pickle.loads(pickle.dumps(fitted))
    assert again.run_ == fitted.run_ and again.offset_ == fitted.offset_


def test_a_run_is_loaded_with_what_was_asked_last(own_copy):
    """Whether or not there is a guard at that rate, or a report at all."""

    def told():
        config = tfp_ood.load_run(own_copy.root).config
        names = tuple(sorted(config.data.out_of_distribution))
        return config.export.false_alarm_rate, config.data.num_test, names

    sets = told()[2]
    assert told() == (0.25, 0, sets) and sets
    asked.note(own_copy, {"false_alarm_rate": 0.001, "out_of_distribution": ["noise"]})
    assert told() == (0.001, 0, ("noise",))
    shutil.rmtree(own_copy.report)
    asked.note(own_copy, {"num_test": 7, "unreadable": "skip"})
    assert told() == (0.001, 7, ("noise",))
    assert tfp_ood.load_run(own_copy.root).config.data.unreadable == "skip"
    # Of other weights, and of an earlier version.
    own_copy.asked.write_text('{"weights": "others", "false_alarm_rate": 0.4}')
    assert told() == (0.05, 0, sets)
    own_copy.asked.unlink()
    assert told() == (0.05, 0, sets)


def test_what_was_scored_otherwise_before_does_not_change_a_run(own_copy, monkeypatch):
    """A set that was dropped, and one that was only monitored."""
    own_copy.asked.unlink()
    path = own_copy.score_table(tfp_ood.load_run(own_copy.root).sets[0][0], "validation")
    facts = tables.facts_of(path)
    other = {**facts, "dataset": "anything", "num_images": 3}
    other["preprocessing"] = {**facts["preprocessing"], "chosen_at_random_of": 9}
    true_facts = recorded._facts
    monkeypatch.setattr(recorded, "_facts", lambda places: [other, *true_facts(places)])
    assert tfp_ood.load_run(own_copy.root).config.data.num_test == 0


def test_a_config_that_names_images_to_monitor_monitors_in_that_mode_alone(own_copy):
    """Even where they are all that a run is judged against."""
    before = tfp_ood.load_run(own_copy.root).config
    name = before.data.out_of_distribution[0]
    data = dataclasses.replace(before.data, out_of_distribution=(name,), num_test=7)
    monitor = config_lib.MonitorConfig(images=name)
    config = dataclasses.replace(before, data=data, monitor=monitor)
    assert not config.is_monitoring and config.monitoring().is_monitoring
    for stage in ("evaluate", "report"):
        stages.run(stages.LIKELIHOOD, config, own_copy, None, stage)
    assert all(one.num_images == 7 for one in tfp_ood.load_run(own_copy.root).summary.out_sets)


def test_images_to_monitor_are_none_to_judge_against(own_copy, tmp_path):
    before = tfp_ood.load_run(own_copy.root).config
    np.save(tmp_path / "new.npy", FOREIGN)
    monitor = config_lib.MonitorConfig(images=f"array:{tmp_path / 'new.npy'}")
    config = dataclasses.replace(before, monitor=monitor).monitoring()
    stages.run(stages.LIKELIHOOD, config, own_copy, None, "evaluate")
    assert tfp_ood.load_run(own_copy.root).config == before
