"""Callbacks: a NaN ends the training with advice, validation sees the averaged weights."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.models.test_flow import SHAPE, random_images, small_model
from tfp_ood.cluster import Cluster
from tfp_ood.config import TrainConfig
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.training import callbacks, fit
from tfp_ood.workdir import open_workdir


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_loss_ends_the_training(value):
    callback = callbacks.StopOnNonFinite()
    callback.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(iterations=17)))
    callback.on_train_batch_end(0, {"bits_per_dim": 3.0})
    with pytest.raises(TrainingError, match=r"step 17.*learning_rate"):
        callback.on_train_batch_end(1, {"bits_per_dim": value})


def test_non_finite_validation_ends_the_training_before_the_backup():
    callback = callbacks.StopOnNonFinite()
    callback.on_epoch_end(0, {"bits_per_dim": 3.0})
    callback.on_epoch_end(0, {"bits_per_dim": 3.0, "val_bits_per_dim": 3.0})
    with pytest.raises(TrainingError, match=r"validation became nan .* epoch 2.*learning_rate"):
        callback.on_epoch_end(1, {"bits_per_dim": 3.0, "val_bits_per_dim": float("nan")})
    callbacks_of_fit = fit._callbacks(TrainConfig(), open_workdir("unused"), Cluster())
    names = [type(c).__name__ for c in callbacks_of_fit]
    ordered = ("StopOnNonFinite", "BackupAndRestore", "StopWhenAsked")
    assert [name for name in names if name in ordered] == list(ordered)


def test_fit_ends_when_the_loss_explodes():
    model = small_model()
    model.initialize(random_images())
    model.compile(optimizer=keras.optimizers.SGD(1e30))
    batches = tf.data.Dataset.from_tensors({"image": random_images()}).repeat()
    with pytest.raises(TrainingError, match="became"):
        model.fit(
            batches,
            epochs=1,
            steps_per_epoch=20,
            verbose=0,
            callbacks=[callbacks.StopOnNonFinite()],
        )


class RecordWeights(keras.callbacks.Callback):
    """Keeps a weight as it is during validation and after it."""

    def on_test_batch_begin(self, batch, logs=None):
        self.during = self.model.trainable_variables[0].numpy()
        self.average = self.model.optimizer._model_variables_moving_average[0].numpy()

    def on_epoch_end(self, epoch, logs=None):
        self.after = self.model.trainable_variables[0].numpy()


def test_validation_uses_the_average_and_training_goes_on_without_it():
    model = small_model()
    images = random_images()
    model.initialize(images)
    model.compile(optimizer=keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    batches = tf.data.Dataset.from_tensors({"image": images})
    record = RecordWeights()
    model.fit(
        batches.repeat(),
        epochs=1,
        steps_per_epoch=5,
        validation_data=batches,
        verbose=0,
        callbacks=[callbacks.ValidateWithAverage(), record],
    )
    np.testing.assert_array_equal(record.during, record.average)
    assert np.any(record.after != record.during)
    # At the end of `fit` Keras leaves the average in the model: what is saved and evaluated.
    np.testing.assert_array_equal(model.trainable_variables[0], record.average)
    assert model.log_prob(np.zeros([1, *SHAPE], np.uint8)).shape == [1]


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
    callback = callbacks.ShowImages(tmp_path, tf.constant(images), seed=0)
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_end(epoch)
    assert shown_images(tmp_path) == {"samples": [(0, 8, 24), (1, 8, 24)]}


@pytest.mark.parametrize("quick", [True, False])
def test_what_a_model_cannot_show_quickly_is_left_out(tmp_path, quick):
    images = tf.constant(random_images(3))
    model = types.SimpleNamespace(
        quick_samples=quick, sample=lambda count, seed: images[:count], reconstruct=lambda x: x
    )
    callback = callbacks.ShowImages(tmp_path, images, seed=0)
    callback.set_model(model)
    callback.on_epoch_end(7)
    expected = {"reconstructions": [(7, 16, 24)]}
    assert shown_images(tmp_path) == ({"samples": [(7, 8, 24)]} if quick else {}) | expected
    del model.reconstruct
    model.quick_samples = False
    callback.on_epoch_end(8)
    assert 8 not in {step for steps in shown_images(tmp_path).values() for step, *_ in steps}
