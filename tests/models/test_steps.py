"""Steps of training and validation on two devices, compiled and not, of a model of four numbers."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.types.experimental import PolymorphicFunction

from tfp_ood.data.untuned import untuned
from tfp_ood.keras import keras
from tfp_ood.models.flows.batch_norm import BatchNorm
from tfp_ood.models.steps import SteppedModel

SHAPE = (2, 2, 1)


class Four(SteppedModel):
    """Four Gaussians, and something that learns the moments of batches."""

    def __init__(self):
        super().__init__(SHAPE, 4, seed=0)
        self.means = self.add_weight("means", SHAPE, initializer="zeros")
        self.norm = BatchNorm(1)
        self.built = True

    def _training_log_prob(self, images, labels, seed):
        # Random numbers are others under XLA.
        pixels = tf.cast(images, tf.float32) / 256.0 + 0.01 * tf.cast(seed[0] + seed[1], tf.float32)
        self.norm._batch_moments(pixels)
        return -tf.reduce_sum(tf.square(pixels - self.means), [1, 2, 3])

    def _scores(self, images, num_draws):
        pixels = tf.cast(images, tf.float32) / 256.0
        return {"log_prob": -tf.reduce_sum(tf.square(pixels - self.means), [1, 2, 3])}


@pytest.fixture(scope="module", name="plain")
def _plain():
    return trained(False)


def trained(xla, couples_images=False):
    """A model after two steps on two devices, and what Keras has seen of it."""
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    images = np.random.default_rng(0).integers(0, 256, (7, *SHAPE)).astype(np.uint8)
    batches = untuned(tf.data.Dataset.from_tensor_slices({"image": images}).with_options(options))
    with strategy.scope():
        model = Four()
        model.couples_images = couples_images
        model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=xla)
    train, test = batches.batch(6, True).repeat(), batches.batch(2)
    seen = model.fit(train, epochs=1, steps_per_epoch=2, validation_data=test, verbose=0).history
    return model, {name: values[0] for name, values in seen.items()}


def is_compiled(model):
    return isinstance(model._compiled(len), PolymorphicFunction)


def test_each_of_two_devices_compiles_its_part(plain):
    model, seen = trained(True)
    assert is_compiled(model) and not is_compiled(plain[0]) and not model.jit_compile
    assert seen == pytest.approx(plain[1], rel=1e-5)
    assert set(seen) == {"bits_per_dim", "gradient_norm", "val_bits_per_dim"}
    for ours, other in zip(model.variables, plain[0].variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=1e-5)
    assert np.any(model.means.numpy() != 0.0) and np.any(model.norm.mean.numpy() != 0.0)


def test_devices_that_need_each_other_are_not_compiled(plain):
    """What they exchange within the forward pass, XLA would not compile."""
    model, seen = trained(True, couples_images=True)
    assert not is_compiled(model) and seen == pytest.approx(plain[1], rel=1e-6)
