"""On a GPU nothing that is computed for every pixel goes through the host.

TensorFlow's kernels for int32 arithmetic on GPUs have their numbers in the host's memory, so that
graphs that have none can be told without a GPU.
"""

import numpy as np
import pytest
import tensorflow as tf

from tfp_ood import models
from tfp_ood.config import Config, VAEConfig
from tfp_ood.models import pixels, whiteness
from tfp_ood.models.pixel_cnn import logistic_mixture

SHAPE = (None, 8, 8, 3)
VALUES = tf.TensorSpec(SHAPE, tf.int32)
UNIFORM = tf.TensorSpec(SHAPE, tf.float32)
LOGITS = tf.TensorSpec((None, 8, 8, 5), tf.float32)

MOVES = {
    "Placeholder",
    "Cast",
    "GatherV2",
    "Reshape",
    "ExpandDims",
    "Identity",
    "Const",
    "Pack",
    "Shape",
}
"""Operations that compute nothing, or whose int32 are places, which GPUs have."""


def parameters(kind):
    return tf.TensorSpec((*SHAPE, kind.num_parameters), tf.float32)


CASES = {
    "whiteness": (lambda noise: whiteness.tests(noise, "level_1"), [UNIFORM]),
    "choose": (logistic_mixture.choose, [LOGITS, tf.TensorSpec(SHAPE[:-1], tf.float32)]),
    **{
        f"{name}.{task}": (
            getattr(kind(), task),
            [parameters(kind), UNIFORM if task == "draw" else VALUES],
        )
        for name, kind in pixels.LIKELIHOODS.items()
        for task in ("log_prob", "told", "draw")
    },
}


def is_large(tensor):
    """Neither a number nor a shape."""
    return tensor.shape.rank is None or tensor.shape.rank >= 2


@pytest.mark.parametrize(("function", "signature"), CASES.values(), ids=CASES)
def test_no_int32_is_computed_with(function, signature):
    traced = tf.function(function, autograph=False).get_concrete_function(*signature)
    assert_on_device(traced.graph.get_operations())


@pytest.mark.parametrize("decoder", ["categorical", "logistic"])
def test_no_int32_is_computed_with_for_several_draws_of_a_vae(decoder):
    model = models.build(Config(model=VAEConfig(num_latents=2, num_filters=2, decoder=decoder)))
    images = np.zeros([1, *model.image_shape], np.uint8)
    model.initialize(images)
    score = tf.function(model.scoring_function(5), autograph=False)
    operations = operations_of(
        score.get_concrete_function(tf.TensorSpec([None, 28, 28, 1], tf.uint8))
    )
    assert any(op.type in ("While", "StatelessWhile") for op in operations)
    assert_on_device(operations)


def operations_of(function):
    """Those of a traced function and of all that it calls."""
    found, waiting, seen = [], [function.graph], set()
    while waiting:
        graph = waiting.pop()
        found += graph.get_operations()
        for name, inner in graph._functions.items():
            if name not in seen:
                seen.add(name)
                waiting.append(inner.graph)
    return found


def assert_on_device(operations):
    assert len(operations) > 5
    kinds = {op.type for op in operations}
    assert not {one for one in kinds if "Bincount" in one}, "not deterministic on GPUs"
    through_host = [
        op.name
        for op in operations
        if op.type not in MOVES
        and any(t.dtype == tf.int32 and is_large(t) for t in (*op.inputs, *op.outputs))
    ]
    assert through_host == []
