"""What TensorBoard shows: curves, images, the config, and hyperparameters to compare runs by."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.models.flows.test_flow import random_images, small_model
from tests.training.small import CONFIG
from tfp_ood.data.untuned import untuned
from tfp_ood.keras import keras
from tfp_ood.training import optimizers, tensorboard


def shown_images(folder):
    """Tag -> height and width of the one image of each epoch in the event files."""
    found = {}
    for file in sorted(folder.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                width, height, image = tf.make_ndarray(value.tensor)
                assert image.startswith(b"\x89PNG")
                found.setdefault(value.tag, []).append((event.step, int(height), int(width)))
    return found


def test_samples_are_shown_after_every_epoch(tmp_path):
    model, images = small_model(), random_images(3)
    model.initialize(images)
    callback = tensorboard.ShowImages(tmp_path, tf.constant(images), seed=0)
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_end(epoch)
    assert shown_images(tmp_path) == {"samples": [(0, 8, 24), (1, 8, 24)]}


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (10, 2, 5), (16, 4, 4)]
)
def test_images_fill_a_grid_row_by_row(count, rows, columns):
    images = tf.reshape(tf.range(count * 6), [count, 2, 3, 1])
    (image,) = tensorboard.grid(images).numpy()
    assert image.shape == (rows * 2, columns * 3, 1)
    tiles = [
        image[2 * r : 2 * r + 2, 3 * c : 3 * c + 3] for r in range(rows) for c in range(columns)
    ]
    np.testing.assert_array_equal(tiles, images)


@pytest.mark.parametrize("quick", [True, False])
def test_what_a_model_cannot_show_quickly_is_left_out(tmp_path, quick):
    images = tf.constant(random_images(3))
    model = types.SimpleNamespace(
        quick_samples=quick, sample=lambda count, seed: images[:count], reconstruct=lambda x: x
    )
    callback = tensorboard.ShowImages(tmp_path, images, seed=0)
    callback.set_model(model)
    callback.on_epoch_end(7)
    expected = {"reconstructions": [(7, 16, 24)]}
    assert shown_images(tmp_path) == ({"samples": [(7, 8, 24)]} if quick else {}) | expected
    del model.reconstruct
    model.quick_samples = False
    callback.on_epoch_end(8)
    assert 8 not in {step for steps in shown_images(tmp_path).values() for step, *_ in steps}


def events(folder):
    """(step, value) of all event files below a folder."""
    return [
        (event.step, value)
        for file in sorted(folder.rglob("events*"))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]


@pytest.fixture(scope="module", name="written")
def _written(tmp_path_factory):
    """The event files of two epochs of a tiny model, by folder."""
    folder = tmp_path_factory.mktemp("written")
    model, images = small_model(), random_images()
    model.initialize(images)
    model.compile(optimizer=optimizers.build(CONFIG.train))
    batches = untuned(tf.data.Dataset.from_tensors({"image": images}))
    workdir = types.SimpleNamespace(tensorboard=folder)
    model.fit(
        batches.repeat(),
        epochs=2,
        steps_per_epoch=3,
        validation_data=batches,
        verbose=0,
        callbacks=tensorboard.dashboard(CONFIG, workdir, tf.constant(images[:2])),
    )
    return folder


def test_curves(written):
    train = {(step, v.tag): tf.make_ndarray(v.tensor) for step, v in events(written / "train")}
    for name in ("bits_per_dim", "gradient_norm", "learning_rate", "images_per_second"):
        for epoch in range(2):
            assert train[epoch, f"epoch_{name}"] > 0, name
    validation = {value.tag for _, value in events(written / "validation")}
    assert validation == {"epoch_bits_per_dim"}


def test_config_and_hyperparameters(written):
    own = [v for _, v in events(written) if v.tag == "config" or "hparams" in v.tag]
    (text,) = (v for v in own if v.tag == "config")
    assert b"| model.num_hidden | `4` |" in tf.make_ndarray(text.tensor).item()
    given = {}
    for value in own:
        content = plugin_data_pb2.HParamsPluginData()
        content.ParseFromString(value.metadata.plugin_data.content)
        if content.HasField("session_start_info"):
            given = {k: v.number_value for k, v in content.session_start_info.hparams.items()}
    assert given["model.num_hidden"] == 4 and given["train.batch_size"] == 8
    json.dumps(given)


def test_the_gradient_norm_is_that_before_clipping():
    norms = []
    for clip in (None, 1e-3):
        model, images = small_model(), random_images()
        model.initialize(images)
        model.compile(optimizer=keras.optimizers.SGD(0.0, global_clipnorm=clip))
        batches = untuned(tf.data.Dataset.from_tensors({"image": images}))
        history = model.fit(batches, epochs=1, steps_per_epoch=1, verbose=0).history
        norms.append(history["gradient_norm"][0])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5) and norms[0] > 1e-2
