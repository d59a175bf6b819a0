"""Further passes over the images: their columns, only where they are asked for."""

import numpy as np

from tfp_ood.config import EvaluateConfig
from tfp_ood.evaluation import passes

RNG = np.random.default_rng(0)


class FakeModel:
    """Its likelihood is the first pixel's value, of however many draws."""

    def log_prob(self, images, num_draws):
        return images[:, 0, 0, 0].astype(np.float32) * num_draws

    def gradient_statistics(self, images):
        return {"log_gradient_norm.input": np.zeros(len(images), np.float32)}


def columns(images, **options):
    def score(batch):
        return {"log_prob": np.ones(len(batch))}

    return passes.added(score, FakeModel(), EvaluateConfig(**options))(images)


def corner(*shape):
    """One image whose pixel values are their own numbers."""
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(1, *shape)


def test_square_images_have_seven_other_positions_and_others_three():
    image = corner(2, 2, 1)
    found = {number: made[0, :, :, 0].tolist() for number, made in passes.symmetric(image).items()}
    assert found == {
        1: [[1, 0], [3, 2]],
        2: [[2, 3], [0, 1]],
        3: [[3, 2], [1, 0]],
        4: [[0, 2], [1, 3]],
        5: [[2, 0], [3, 1]],
        6: [[1, 3], [0, 2]],
        7: [[3, 1], [2, 0]],
    }
    wide = corner(2, 3, 3)
    assert {number: made.shape for number, made in passes.symmetric(wide).items()} == {
        number: (1, 2, 3, 3) for number in (1, 2, 3)
    }
    np.testing.assert_array_equal(passes.symmetric(wide)[3], np.rot90(wide, 2, (1, 2)))


def test_columns_are_there_only_where_they_are_asked_for():
    images = RNG.integers(0, 256, (5, 3, 3, 1)).astype(np.uint8)
    assert set(columns(images)) == {"log_prob"}
    found = columns(images, symmetries=True, num_draws=2)
    assert set(found) == {"log_prob", *(f"symmetry.{i}" for i in range(1, 8))}
    np.testing.assert_array_equal(found["symmetry.3"], 2.0 * images[:, 2, 2, 0])
    assert set(columns(images, gradients=True)) == {"log_prob", "log_gradient_norm.input"}


def test_tables_say_which_passes_they_hold():
    assert passes.facts(EvaluateConfig()) == {}
    both = EvaluateConfig(symmetries=True, gradients=True)
    assert passes.facts(both) == {"symmetries": True, "gradients": True}
