"""Backups of killed trainings: damaged ones, and those of another model."""

import dataclasses
import pathlib

import pytest
import tensorflow as tf

from tests.nasty import ALL
from tests.training import small
from tfp_ood import models, paths
from tfp_ood.errors import TrainingError
from tfp_ood.training import backups, fit, optimizers
from tfp_ood.training.weights import read_weights, write_weights
from tfp_ood.workdir import open_workdir

CONFIG = dataclasses.replace(
    small.CONFIG, model=dataclasses.replace(small.CONFIG.model, num_steps=2)
)
OTHERS = {"more": {"num_steps": 3}, "fewer": {"num_steps": 1}, "larger": {"num_hidden": 5}}


def with_sizes(**sizes):
    return dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, **sizes))


@pytest.fixture(scope="module", name="saved")
def _saved(tmp_path_factory):
    """A work directory with weights of CONFIG's model, and a backup as Keras makes one."""
    workdir = open_workdir(tmp_path_factory.mktemp("saved") / "run")
    model = models.build(CONFIG)
    model.compile(optimizer=optimizers.build(CONFIG.train))
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    folder = paths.for_tensorflow(workdir.backup / "chief")
    saver = tf.train.Checkpoint(model=model, train_counter=tf.Variable(7))
    tf.train.CheckpointManager(saver, folder, 1).save()
    write_weights(model, workdir.model / "weights")
    return workdir


def test_a_backup_and_weights_of_the_same_model_are_taken(saved):
    backups.check(saved, models.build(CONFIG))
    read_weights(models.build(CONFIG), saved.model / "weights")


@pytest.mark.parametrize("sizes", OTHERS.values(), ids=OTHERS)
def test_a_backup_or_weights_of_another_model_are_refused(sizes, saved):
    """As after an update of this program: what one lacks would stay as it was built."""
    other = models.build(with_sizes(**sizes))
    with pytest.raises(TrainingError, match=r"backup in .*chief is of a model with other weights"):
        backups.check(saved, other)
    with pytest.raises(TrainingError, match="or of another version of this program"):
        read_weights(other, saved.model / "weights")


def test_a_training_does_not_go_on_from_another_models_backup(saved, data_dir):
    assert backups.saved_step(saved) == 7
    with pytest.raises(TrainingError, match="is of a model with other weights"):
        fit.train(with_sizes(num_hidden=5), saved, data_dir)


def test_a_backup_whose_numbers_are_cut_off_is_damaged_and_not_another_models(saved):
    (path,) = (saved.backup / "chief").glob("ckpt*.data*")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(TrainingError, match=r"(?s)backup .* is damaged"):
            backups.check(saved, models.build(CONFIG))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["run", ALL])
def test_a_damaged_backup_is_named_and_an_incomplete_one_is_not_called_so(name, tmp_path):
    workdir = open_workdir(tmp_path / name)
    workdir.root.mkdir()
    assert backups.saved_step(workdir) == 0
    optimizer = tf.train.Checkpoint(_iterations=tf.Variable(40, dtype=tf.int64))
    checkpoint = tf.train.Checkpoint(model=tf.train.Checkpoint(optimizer=optimizer))
    folder = paths.for_tensorflow(workdir.backup / "chief")
    manager = tf.train.CheckpointManager(checkpoint, folder, 1)
    manager.save()
    path = pathlib.Path(manager.save())
    assert backups.saved_step(workdir) == 40
    index, (data,) = path.with_name("ckpt-2.index"), list(path.parent.glob("ckpt*.data*"))
    assert not path.with_name("ckpt-1.index").exists()  # which a pattern is needed for
    for part, content in ((data, data.read_bytes()), (index, index.read_bytes())):
        part.unlink()
        with pytest.raises(TrainingError, match=r"(?s)backup .* is not complete .*starts over"):
            backups.saved_step(workdir)
        part.write_bytes(content)
    index.write_bytes(index.read_bytes()[:5])
    with pytest.raises(TrainingError, match=r"(?s)backup .* is damaged"):
        backups.saved_step(workdir)
