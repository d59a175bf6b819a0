"""The second-order analysis, where it is exact: a flow whose couplings have not begun to learn."""

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts
from tests.evaluation.fakes import fake_split, metadata
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import second_order, second_order_slopes
from tfp_ood.evaluation.images import Kept

COLOR = (8, 8, 3)
OPTIONS = {"num_levels": 2, "num_steps": 2, "num_hidden": 6, "coupling": "additive"}
CASE = contracts.Case("glow", OPTIONS, COLOR)


@pytest.fixture(scope="module", name="linear")
def _linear():
    """Initialised, so that actnorms do something, and not trained: couplings shift by nothing."""
    return contracts.initialized(CASE)


@pytest.fixture(scope="module", name="trained")
def _trained():
    return contracts.trained(CASE)


def density(model, pixels):
    """log p of images in [0, 256), float [B, H, W, C]: nats, float64 [B]."""
    return model.distribution.log_prob(tf.constant(pixels, tf.float32)).numpy().astype(np.float64)


def test_kernels_tell_all_of_a_linear_flow(linear):
    found = second_order_slopes.slopes(linear, np.full(COLOR, 100.0))
    assert [found[f"kernel_{level}"].shape for level in range(2)] == [(12, 12), (24, 24)]
    np.testing.assert_allclose(found["kernel_sensitivity"], found["sensitivity"], rtol=1e-3)
    assert found["sensitivity"].std() > 0.01 * found["sensitivity"].mean()


def test_the_gradient_is_that_of_the_density(trained):
    x0 = contracts.random_images(CASE).mean(0)
    found = second_order_slopes.slopes(trained, x0)
    direction = np.random.default_rng(0).normal(size=COLOR)
    ahead, behind = density(trained, np.stack([x0 + 0.5 + s * 0.05 * direction for s in (1, -1)]))
    expected = (ahead - behind) / 0.1
    assert np.sum(found["gradient"] * direction) == pytest.approx(expected, rel=0.05, abs=0.5)


def test_the_prediction_is_the_gap_of_a_linear_flow(linear):
    """Its log density is a parabola: for independent pixels and equal means nothing is missing."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(90, 150, COLOR)
    deviation = {"own": rng.uniform(8, 12, COLOR), "other": rng.uniform(2, 9, COLOR)}
    kept = {
        name: Kept(*[np.zeros(0)] * 4, mean, np.square(value)) for name, value in deviation.items()
    }
    found = second_order.predicted_gap(
        second_order_slopes.slopes(linear, mean), kept["own"], kept["other"]
    )
    noise = rng.normal(size=(4000, *COLOR))
    own, other = (
        density(linear, mean + 0.5 + scale * noise).mean() for scale in deviation.values()
    )
    assert found["variance_term"] == pytest.approx(other - own, rel=0.03)
    assert found["variance_term_at_mean"] == pytest.approx(other - own, rel=0.03)
    assert found["mean_term"] == 0.0
    assert found["variance_term"] > 0 and found["variance_other"] < found["variance_own"]


def test_what_is_written_is_read_for_its_own_table_only(tmp_path):
    path, facts = tmp_path / "second_order.npz", metadata(fake_split())
    assert second_order.read(path, facts) is None
    second_order.write(path, {"gradient": np.ones(3)}, facts)
    np.testing.assert_array_equal(second_order.read(path, facts)["gradient"], np.ones(3))
    assert second_order.read(path, metadata(fake_split(), config_hash="other")) is None
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(EvaluationError, match=r"second_order\.npz is damaged .*--mode=evaluate"):
        second_order.read(path, facts)


def test_prediction_from_moments_by_channel(linear):
    found = second_order_slopes.slopes(linear, np.full(COLOR, 100.0))
    own, other = (60.0, 50.0, 40.0), (50.0, 55.0, 10.0)
    kepts = [
        Kept(*[np.zeros(0)] * 4, np.zeros(COLOR), np.broadcast_to(np.square(std), COLOR))
        for std in (own, other)
    ]
    expected = second_order.predicted_gap(found, *kepts)["variance_term"]
    assert second_order.predicted_from_moments(found, own, other) == pytest.approx(expected)
    assert second_order.predicted_from_moments(found, other, own) == pytest.approx(-expected)
    with pytest.raises(ValueError, match="3 each"):
        second_order.predicted_from_moments(found, (90.0,), (78.0,))
