import numpy as np
from scipy import stats

from tfp_ood.detectors.gradient import Gradient

RNG = np.random.default_rng(0)


def test_it_is_the_negative_log_density_of_normal_columns():
    held_out = {f"log_gradient.{i}": RNG.normal(i, 1.0 + i, 500) for i in range(3)}
    judged = {name: RNG.normal(size=4) for name in held_out}
    fitted = Gradient().fit_columns({**held_out, "log_prob": np.zeros(500)})
    normal = stats.norm(
        [np.mean(v) for v in held_out.values()], [np.std(v) for v in held_out.values()]
    )
    expected = -normal.logpdf(np.stack(list(judged.values()), -1)).sum(-1)
    np.testing.assert_allclose(fitted.of_columns(judged, np), expected)


def test_gradients_too_small_and_too_large_are_foreign():
    fitted = Gradient().fit_columns({"log_gradient.a": RNG.normal(2.0, 1.0, 500)})
    low, usual, high = fitted.of_columns({"log_gradient.a": np.array([-3.0, 2.0, 7.0])}, np)
    assert min(low, high) > usual + 10


def test_columns_that_never_vary_do():
    fitted = Gradient().fit_columns({"log_gradient.a": np.full(2, -69.0)})
    same, other = fitted.of_columns({"log_gradient.a": np.array([-69.0, 0.0])}, np)
    assert np.isfinite(other) and other > same
