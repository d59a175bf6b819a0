"""Sets are watched while a model is trained, and the training does not notice."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.data import tiny
from tests.training.small import CONFIG
from tfp_ood import trajectory
from tfp_ood.data import pipeline
from tfp_ood.errors import DataError
from tfp_ood.training import fit
from tfp_ood.training import trajectory as training_trajectory
from tfp_ood.workdir import open_workdir

JUDGE = training_trajectory.Judge(
    lambda images: {"size": images.mean((1, 2, 3))},
    lambda held_out, own, others: [
        (len(held_out["log_prob"]) + own["size"].mean() - one["size"].mean()) / 1_000
        for one in others
    ],
)
"""Not an AUROC, but it says what it was given."""

KEYS = ["fashion_mnist/test", "mnist/test"]


def watching(num_images):
    evaluate = dataclasses.replace(CONFIG.evaluate, num_trajectory=num_images, batch_size=3)
    train = dataclasses.replace(CONFIG.train, num_steps=6, ema_momentum=0.5, learning_rate=1e-2)
    return dataclasses.replace(CONFIG, evaluate=evaluate, train=train)


@pytest.fixture(scope="module", name="runs")
def _runs(tmp_path_factory, data_dir):
    """Work directories by the number of watched images."""
    found = {}
    for num_images in (0, 100):
        found[num_images] = open_workdir(tmp_path_factory.mktemp("run") / "run")
        fit.train(watching(num_images), found[num_images], data_dir, JUDGE)
    return found


def test_every_set_is_scored_at_every_checkpoint(runs, data_dir):
    steps = trajectory.read(runs[100].trajectory)
    assert list(steps) == [0, 2, 4, 6] and trajectory.read(runs[0].trajectory) == {}
    for sets in steps.values():
        assert list(sets) == KEYS
        assert all(one.index.tolist() == list(range(tiny.NUM_TEST)) for one in sets.values())
    config = watching(100)
    model = fit.load_trained(config, runs[100])
    for split in pipeline.open_sets(config.data, data_dir):
        # The last checkpoint has the weights that are kept: the averaged ones.
        images, _ = pipeline.load(split)
        last = steps[6][f"{split.name}/{split.split}"].log_prob
        np.testing.assert_allclose(last, model.log_prob(images), rtol=1e-5)
        assert np.all(last != steps[0][f"{split.name}/{split.split}"].log_prob)


def test_training_does_not_depend_on_who_watches(runs):
    watched, alone = (
        fit.load_trained(watching(number), workdir).trainable_variables
        for number, workdir in runs.items()
    )
    for ours, theirs in zip(watched, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_tensorboard_shows_a_run_for_every_set(runs, data_dir):
    folder = runs[100].tensorboard / "sets"
    assert sorted(path.name for path in folder.iterdir()) == [key.replace("/", ".") for key in KEYS]
    steps = trajectory.read(runs[100].trajectory)
    for key in KEYS:
        shown = {}
        for file in sorted((folder / key.replace("/", ".")).glob("events*")):
            for event in tf.compat.v1.train.summary_iterator(str(file)):
                for value in event.summary.value:
                    shown.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
        assert list(shown["sets/log_prob"]) == [0, 2, 4, 6]
        for step, mean in shown["sets/bits_per_dim"].items():
            assert mean == pytest.approx(steps[step][key].bits_per_dim.mean(), rel=1e-6)
        assert ("sets/auroc_combined" in shown) == (key != KEYS[0])
    own, other = (pipeline.load(one)[0].mean() for one in pipeline.open_sets(CONFIG.data, data_dir))
    given = [float(value) for value in shown["sets/auroc_combined"].values()]
    assert given == pytest.approx([(4 + own - other) / 1_000] * 4, abs=1e-5)


def test_foreign_images_that_do_not_fit_are_named_before_anything_is_written(tmp_path, data_dir):
    array = tmp_path / "large.npy"
    np.save(array, np.zeros([4, 50, 50, 1], np.uint8))
    data = dataclasses.replace(CONFIG.data, out_of_distribution=(f"array:{array}",))
    workdir = open_workdir(tmp_path / "run")
    with pytest.raises(DataError, match="50"):
        fit.train(dataclasses.replace(CONFIG, data=data), workdir, data_dir)
    assert not workdir.root.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", "mnist.test"),
        ("contrast:0.5", "contrast_0.5.test"),
        ("folder:/x/my photos", "my_photos-"),
    ],
)
def test_curves_have_names_that_say_something(name, expected):
    one = trajectory.scored(name, "test", np.arange(1), np.zeros(1), 12)
    assert training_trajectory._run_name(one).startswith(expected)
    assert training_trajectory._run_name(one).endswith(
        ".test"
    ) and "/" not in training_trajectory._run_name(one)
