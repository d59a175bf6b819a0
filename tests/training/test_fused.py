"""The fused optimizers make the steps of Keras' own."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood.config import TrainConfig
from tfp_ood.keras import keras
from tfp_ood.training import optimizers

KINDS = {
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "rmsprop": keras.optimizers.RMSprop,
}
NUM_STEPS = 6
SHAPES = ([3, 4], [5], [])


def config(kind, **changes):
    return TrainConfig(
        optimizer=kind, num_steps=NUM_STEPS, warmup_steps=2, learning_rate=0.1, **changes
    )


def variables():
    rng = np.random.default_rng(0)
    return [tf.Variable(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]


def gradients(step):
    """Some of them large: a norm of 1 is for clipping."""
    rng = np.random.default_rng(step)
    scale = 10.0 if step % 2 else 0.01
    return [tf.constant(scale * rng.normal(size=shape), tf.float32) for shape in SHAPES]


def stepped(optimizer, given=gradients):
    changed = variables()
    optimizer.build(changed)
    step = tf.function(lambda *values: optimizer.apply_gradients(zip(values, changed, strict=True)))
    for number in range(NUM_STEPS):
        step(*given(number))
    return [v.numpy() for v in changed]


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_keras(kind, clip_norm):
    """The average of weights, which is not Keras', is tested with `fit`."""
    train = config(kind, clip_norm=clip_norm, ema_momentum=0.9)
    theirs = KINDS[kind](
        learning_rate=optimizers.learning_rate(train),
        global_clipnorm=clip_norm or None,
        jit_compile=False,
    )
    for a, b in zip(stepped(optimizers.build(train)), stepped(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_not_finite_spoils_all_weights():
    """So that the loss is no number at the next step, and the training ends with advice."""

    def given(step):
        return [tf.fill(shape, np.inf if step else 1.0) for shape in SHAPES]

    assert np.all(
        np.isnan(
            np.concatenate(
                [v.ravel() for v in stepped(optimizers.build(config("adam", clip_norm=1.0)), given)]
            )
        )
    )


def test_gradients_of_a_gather_are_taken():
    table = tf.Variable(tf.ones([4, 2]))
    optimizer = optimizers.build(config("adam", clip_norm=1.0, ema_momentum=0.9))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(table, [1, 1]))
    optimizer.apply_gradients([(tape.gradient(loss, table), table)])
    optimizer.apply_gradients([(tf.IndexedSlices(tf.ones([1, 2]), [1], [4, 2]), table)])
    assert np.all(table.numpy()[[0, 2, 3]] == 1.0) and np.all(table.numpy()[1] < 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_few_nodes_for_each_variable(kind):
    """Of clipping, update and moving average together."""
    optimizer, numbers = optimizers.build(config(kind, clip_norm=1.0, ema_momentum=0.9)), []
    changed = [tf.Variable(tf.ones([2, 2])) for _ in range(30)]
    optimizer.build(changed)
    for number in (10, 30):
        part = changed[:number]
        function = tf.function(
            lambda *values, part=part: optimizer.apply_gradients(zip(values, part, strict=True))
        )
        graph = function.get_concrete_function(*[tf.ones([2, 2])] * number).graph
        kinds = [node.op for node in graph.as_graph_def().node]
        numbers.append(sum(kind not in ("Placeholder", "Const", "NoOp") for kind in kinds))
    assert (numbers[1] - numbers[0]) / 20 <= 8
