import numpy as np

from tfp_ood.detectors.symmetry import Symmetry

RNG = np.random.default_rng(0)


def columns(log_prob, others):
    """Columns of images whose positions all have the same likelihood."""
    log_prob, others = np.asarray(log_prob, np.float64), np.asarray(others, np.float64)
    return {"log_prob": log_prob, **{f"symmetry.{i}": others for i in range(1, 8)}}


def scores(fitted, log_prob, others):
    return fitted.of_columns(columns(log_prob, others), np)


HELD_OUT = RNG.normal(-100.0, 1.0, 1_000)
FITTED = Symmetry().fit_columns(columns(HELD_OUT, HELD_OUT - 5.0))


def test_images_as_likely_in_any_position_are_foreign():
    found = scores(FITTED, [-100.0, -99.0], [-110.0, -99.0])
    np.testing.assert_allclose(found, [-70.0, 0.0])


def test_far_too_unlikely_images_are_beyond_all_usual_ones_and_in_order():
    # Upright by far, but below median - 3 deviations, which is about -103.
    found = scores(FITTED, [-102.5, -104.0, -110.0, -1_000.0], [-200.0, -200.0, -200.0, -2_000.0])
    assert found[0] < -600.0
    usual = scores(FITTED, HELD_OUT, HELD_OUT - 5.0)
    assert np.all(np.diff(found) > 0) and found[1] > np.max(usual[HELD_OUT > -102.9])
    np.testing.assert_allclose(found[2] - found[1], 6.0)


def test_held_out_images_that_are_all_the_same_do():
    fitted = Symmetry().fit_columns(columns([-100.0] * 2, [-101.0] * 2))
    np.testing.assert_allclose(
        scores(fitted, [-100.0, -100.5, -99.0], [-101.0, -101.5, -101.0]), [-7.0, -6.5, -14.0]
    )
