"""Callbacks: a NaN ends the training with advice, validation sees the averaged weights."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.models.flows import test_real_nvp
from tests.models.flows.test_flow import SHAPE, random_images, small_model
from tfp_ood.config import TrainConfig
from tfp_ood.data.untuned import untuned
from tfp_ood.errors import TrainingError
from tfp_ood.keras import keras
from tfp_ood.models import dequantize
from tfp_ood.models.flows import batch_norm
from tfp_ood.training import callbacks, fused


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_loss_ends_the_training(value):
    callback = callbacks.StopOnNonFinite(TrainConfig())
    callback.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(iterations=17)))
    callback.on_train_batch_end(0, {"bits_per_dim": 3.0})
    with pytest.raises(TrainingError, match=r"step 17.*learning_rate"):
        callback.on_train_batch_end(1, {"bits_per_dim": value})


def test_non_finite_validation_ends_the_training_before_the_backup():
    callback = callbacks.StopOnNonFinite(TrainConfig())
    callback.on_epoch_end(0, {"bits_per_dim": 3.0})
    callback.on_epoch_end(0, {"bits_per_dim": 3.0, "val_bits_per_dim": 3.0})
    with pytest.raises(TrainingError, match=r"validation became nan .* epoch 2.*learning_rate"):
        callback.on_epoch_end(1, {"bits_per_dim": 3.0, "val_bits_per_dim": float("nan")})


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_jump_of_the_loss_is_told_with_advice(is_terminal, capsys, monkeypatch):
    """Of the validation: what steps of the same epoch make good is none."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    callback = callbacks.SayWhenLossJumps(TrainConfig(clip_norm=0.0))
    found = [(6.96, 6.33), (6.3, 5.86), (9.15, 5.9), (9.15, 6.75), (6.06, 5.9)]
    for epoch, (value, validation) in enumerate(found):
        callback.on_epoch_end(epoch, {"bits_per_dim": value, "val_bits_per_dim": validation})
    *empty, line = capsys.readouterr().out.splitlines()
    assert empty == [""] * is_terminal  # a progress bar is not at its end
    said = "The loss jumped in epoch 4: validation had 5.90 and has 6.75 bits/dim."
    assert line.startswith(said) and "a lower config.train.learning_rate" in line
    assert line.endswith("or config.train.clip_norm=100.")


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        (
            {},
            "more config.train.warmup_steps, or a config.train.clip_norm lower than 100.",
            "float",
        ),
        ({"precision": "mixed_bfloat16"}, "or config.train.precision=float32.", "=100"),
        ({"clip_norm": 0.0}, "or config.train.clip_norm=100.", "lower than"),
        (
            {"decay": "steps", "warmup_steps": 0},
            "rate, or a config.train.clip_norm lower",
            "warmup",
        ),
    ],
)
def test_the_advice_is_what_the_training_does_not_do_yet(changes, said, unsaid):
    callback = callbacks.StopOnNonFinite(TrainConfig(**changes))
    with pytest.raises(TrainingError) as error:
        callback.on_epoch_end(1, {"val_bits_per_dim": float("nan")})
    assert said in str(error.value) and unsaid not in str(error.value)


def test_fit_ends_when_the_loss_explodes():
    model = small_model()
    model.initialize(random_images())
    model.compile(optimizer=keras.optimizers.SGD(1e30))
    batches = untuned(tf.data.Dataset.from_tensors({"image": random_images()}).repeat())
    with pytest.raises(TrainingError, match="became"):
        model.fit(
            batches,
            epochs=1,
            steps_per_epoch=20,
            verbose=0,
            callbacks=[callbacks.StopOnNonFinite(TrainConfig())],
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
    model.compile(optimizer=fused.Adam(1e-2, use_ema=True, ema_momentum=0.9, jit_compile=False))
    batches = untuned(tf.data.Dataset.from_tensors({"image": images}))
    record = RecordWeights()
    model.fit(
        batches.repeat(),
        epochs=1,
        steps_per_epoch=5,
        validation_data=batches,
        verbose=0,
        callbacks=[callbacks.ValidateWithAverage(images), record],
    )
    np.testing.assert_array_equal(record.during, record.average)
    assert np.any(record.after != record.during)
    # At the end of `fit` Keras leaves the average in the model: what is saved and evaluated.
    np.testing.assert_array_equal(model.trainable_variables[0], record.average)
    assert model.log_prob(np.zeros([1, *SHAPE], np.uint8)).shape == [1]


def test_averaged_weights_have_moments_of_their_own():
    """Those of the images: likelihoods are what they are when batches normalise themselves."""
    model, images = test_real_nvp.small_model("batch_norm"), random_images(64)
    model.compile(optimizer=fused.Adam(use_ema=True, jit_compile=False))
    # Far apart, as after a few steps of a fast training.
    rng, weights = np.random.default_rng(0), model.trainable_variables
    averages = model.optimizer._model_variables_moving_average
    for variable, average in zip(weights, averages, strict=True):
        average.assign(variable + rng.normal(0, 0.05, variable.shape))
        variable.assign_add(rng.normal(0, 0.05, variable.shape))
    model.initialize(images)
    before = [v.numpy() for v in (*weights, *model.moments)]
    noise = dequantize.training_noise(tf.shape(images), tf.constant([model.seed, 0]))

    def log_prob():
        return np.mean(sum(model._terms(tf.cast(images, tf.float32) + noise)))

    with callbacks.averaged_weights(model, images):
        for variable, average in zip(weights, averages, strict=True):
            np.testing.assert_array_equal(variable, average)
        found = log_prob()
        with batch_norm.batch_statistics():
            assert found == pytest.approx(log_prob(), rel=1e-4)
        for variable, value in zip(model.moments, before[len(weights) :], strict=True):
            variable.assign(value)
        assert log_prob() < found - 5
    for variable, value in zip((*weights, *model.moments), before, strict=True):
        np.testing.assert_array_equal(variable, value)
