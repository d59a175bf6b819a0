import numpy as np

from tfp_ood.detectors.input_gradient import InputGradient

NAME = "log_gradient_norm.input"


def test_it_is_the_distance_from_the_median_in_robust_deviations():
    held_out = np.array([1.0, 2.0, 3.0, 4.0, 1_000.0])  # median 3, median absolute deviation 1
    fitted = InputGradient().fit_columns({NAME: held_out})
    found = fitted.of_columns({NAME: np.array([3.0, 1.0, 5.0])}, np)
    np.testing.assert_allclose(found, [0.0, 2 / 1.4826, 2 / 1.4826], rtol=1e-4)


def test_a_norm_that_never_varies_does():
    fitted = InputGradient().fit_columns({NAME: np.ones(2)})
    found = fitted.of_columns({NAME: np.array([1.0, 2.0])}, np)
    assert found[0] == 0.0 and np.isfinite(found[1])
