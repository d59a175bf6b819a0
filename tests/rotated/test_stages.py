"""Rotated digits from the command line: the real config at reduced size, killed and resumed."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from tests.data import tiny
from tfp_ood import cli
from tfp_ood.errors import DataError
from tfp_ood.rotated import classify, predictions
from tfp_ood.rotated import config as rotated_config
from tfp_ood.rotated.config import VARIANTS
from tfp_ood.workdir import open_workdir

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "rotated_digits.py")
SMALL = [
    "--config.data.num_validation=4",
    "--config.data.num_rotated=1",
    "--config.data.num_angles=3",
    "--config.data.digits=3,5",
    "--config.model.num_filters=2,3",
    "--config.model.num_hidden=4",
    "--config.model.flow_hidden=3",
    "--config.model.num_couplings=1",
    "--config.model.ensemble_size=2",
    "--config.train.batch_size=8",
    "--config.train.num_epochs=1",
    "--config.train.num_epochs_bayesian=1",
    "--config.evaluate.num_draws=2",
]


def command(workdir, data_dir, *flags):
    paths = [f"--workdir={workdir}", f"--data_dir={data_dir}"]
    return ["main.py", f"--config={CONFIG}", *paths, *SMALL, *flags]


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory, data_dir):
    """Of a run that is killed before its last network, and goes on."""
    path = tmp_path_factory.mktemp("runs") / "run"
    train_one = classify._train_one

    def killed(network, *args):
        if network[0] == "mnf":
            raise KeyboardInterrupt
        train_one(network, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classify, "_train_one", killed)
        assert cli.main(command(path, data_dir)) == 130
    before = stamps(path)
    assert len(before) == 4  # two softmax, dropout, flipout
    assert cli.main(command(path, data_dir)) == 0
    assert before.items() <= stamps(path).items()
    return path


def stamps(workdir):
    return {p: p.stat().st_mtime_ns for p in (workdir / "model").glob("*/training.json")}


def test_the_whole_loop_leaves_everything(workdir):
    assert {p.parent.name for p in stamps(workdir)} == {
        *("softmax_0", "softmax_1", "dropout_0", "flipout_0", "mnf_0")
    }
    for name in ("index.html", "digit_3.png", "digit_5.pdf", "turned.png", "entropy.png"):
        assert (workdir / "report" / name).stat().st_size > 0
    summary = json.loads((workdir / "report" / "summary.json").read_text())
    assert set(summary["variants"]) == set(VARIANTS)
    assert summary["variants"]["ensemble"]["num_networks"] == 2
    assert set(summary["sets"]) == {"mnist/test", "fashion_mnist/test"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_tables_hold_probabilities(variant, workdir):
    rotated, sets = (
        predictions.read(predictions.table_path(workdir, variant, kind))
        for kind in ("rotated", "sets")
    )
    np.testing.assert_allclose(rotated.probabilities.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(rotated.keys["angle"], [0, 90, 180] * 2)
    np.testing.assert_array_equal(rotated.keys["label"], [3] * 3 + [5] * 3)
    assert len(sets.entropy) == 2 * tiny.NUM_TEST and np.all(np.isfinite(sets.entropy))


def test_the_ensemble_averages_the_plain_network_and_others(workdir):
    paths = [predictions.table_path(workdir, v, "sets") for v in ("softmax", "ensemble")]
    plain, ensemble = (predictions.read(path) for path in paths)
    assert plain.metadata["networks"][0] == ensemble.metadata["networks"][0]
    assert not np.allclose(plain.probabilities, ensemble.probabilities)
    assert np.all(ensemble.probabilities >= plain.probabilities / 2 - 1e-6)


def test_again_does_nothing_but_the_report(workdir, data_dir, capsys):
    kept = [*stamps(workdir), *(workdir / "predictions").glob("*.parquet")]
    before = [p.stat().st_mtime_ns for p in kept]
    assert cli.main(command(workdir, data_dir)) == 0
    assert [p.stat().st_mtime_ns for p in kept] == before
    assert capsys.readouterr().out.endswith(f"report: {workdir / 'report' / 'index.html'}\n")


def test_other_digits_need_no_training(workdir, data_dir):
    before = stamps(workdir)
    flags = ("--config.data.digits=4", "--config.model.variants=softmax,dropout")
    sets = predictions.table_path(workdir, "softmax", "sets")
    kept = sets.stat().st_mtime_ns
    assert cli.main(command(workdir, data_dir, *flags)) == 0
    assert stamps(workdir) == before and sets.stat().st_mtime_ns == kept
    assert (workdir / "report" / "digit_4.png").exists()


def test_what_is_done_to_the_digits_may_not_change_after_training(
    workdir, data_dir, tmp_path, capsys
):
    """For foreign sets alone it may."""
    pad = "--config.data.size_change=pad"
    one = ("--config.model.variants=softmax", "--config.model.ensemble_size=2")
    assert cli.main(command(workdir, data_dir, *one, pad, "--mode=evaluate")) == 0
    larger = (*one, "--config.data.image_shape=32,32,1")
    assert cli.main(command(tmp_path / "run", data_dir, *larger, pad, "--mode=train")) == 0
    other = (*larger, "--config.data.size_change=resize", "--mode=evaluate")
    assert cli.main(command(tmp_path / "run", data_dir, *other)) == 2
    assert "have changed since the training" in capsys.readouterr().err
    assert cli.main(command(tmp_path / "run", data_dir, *larger, pad, "--mode=evaluate")) == 0


def test_a_network_that_is_trained_again_leaves_no_old_figure(
    workdir, data_dir, tmp_path, capsys, monkeypatch
):
    """Even if that is killed; what other networks predicted stays."""
    copy = shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(copy / "model" / "mnf_0")

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(classify, "_train_one", killed)
    assert cli.main(command(copy, data_dir, "--mode=train")) == 130
    assert not (copy / "report").exists()
    left = {path.name for path in (copy / "predictions").glob("*.parquet")}
    others = set(VARIANTS) - {"mnf"}
    assert left == {f"{name}.{kind}.parquet" for name in others for kind in ("rotated", "sets")}
    assert cli.main(command(copy, data_dir, "--mode=report")) == 2
    assert "mnf.rotated.parquet; --mode=evaluate" in capsys.readouterr().err


def test_too_few_of_a_digit_are_known_before_training(data_dir, tmp_path, capsys):
    flag = "--config.data.num_rotated=2"
    assert cli.main(command(tmp_path / "run", data_dir, flag)) == 2
    assert "only 1 are of class 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


WRONG = {
    "digit": (["--config.data.digits=12"], "one or more different integers from 0 to 9"),
    "key": (["--config.model.num_stepz=3"], "config.model.num_stepz: there is no such key"),
    "type": (["--config.train.learning_rate=x"], "got 'x'; valid is a number from"),
    "mode": (["--mode=sample"], "valid with this config is one of prepare, train"),
    "set": (["--config.data.out_of_distribution=fashion"], "did you mean fashion_mnist"),
    "networks": (["--config.train.learning_rate=0.5"], "learning_rate was 0.001, now 0.5"),
}


@pytest.mark.parametrize(("flags", "said"), WRONG.values(), ids=WRONG)
def test_wrong_input_ends_with_one_sentence_and_code_2(flags, said, workdir, data_dir, capsys):
    assert cli.main(command(workdir, data_dir, *flags)) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("tfp_ood: ") and said in error


def test_a_stage_too_early_names_the_one_before(data_dir, tmp_path, capsys):
    for mode, said in (("evaluate", "--mode=train"), ("report", "--mode=evaluate")):
        assert cli.main(command(tmp_path / "run", data_dir, f"--mode={mode}")) == 2
        assert said in capsys.readouterr().err


def test_damaged_weights_are_named(workdir, data_dir, capsys):
    (index,) = (workdir / "model" / "dropout_0").glob("*.index")
    whole = index.read_bytes()
    index.write_bytes(b"")
    predictions.table_path(workdir, "dropout", "sets").unlink()
    assert cli.main(command(workdir, data_dir)) == 2
    assert "damaged" in capsys.readouterr().err
    index.write_bytes(whole)


def test_sets_without_digits_are_refused(data_dir, tmp_path):
    config = rotated_config.from_config_dict(
        {"data": {"in_distribution": "noise", "num_validation": 4}}
    )
    with pytest.raises(DataError, match="labelled from 0 to 9"):
        classify.train(config, open_workdir(tmp_path / "run"), str(data_dir))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_a_number_ends_the_training(data_dir, tmp_path, capsys):
    flags = ("--config.model.weight_decay=1e38", "--config.train.learning_rate=1.0")
    assert cli.main(command(tmp_path / "run", data_dir, *flags)) == 2
    assert "config.train.learning_rate" in capsys.readouterr().err
    assert not stamps(tmp_path / "run")
