import numpy as np

from tests.evaluation.fakes import table, with_columns
from tfp_ood.detectors.latent_fit import LatentFit

RNG = np.random.default_rng(0)
TESTS = ("anderson_darling", "flatness", "autocorrelation", "mean", "kurtosis")


def images(count, **changes):
    """Images with tests of two levels, all standard normal but for the changes."""
    columns = {f"{test}.level_{k}": RNG.normal(size=count) for test in TESTS for k in (1, 2)}
    given = {name.replace("__", "."): values for name, values in changes.items()}
    return with_columns(table(np.full(count, 3.0)), **{**columns, **given})


def test_the_squared_distance_is_the_number_of_tests_for_usual_images():
    fitted = LatentFit().fit([images(3000)])
    score = fitted.score([images(3000)])
    assert abs(score.mean() - 10) < 0.5
    unusual = fitted.score([images(200, flatness__level_2=np.full(200, 6.0))])
    assert abs(unusual.mean() - (9 + 36)) < 5  # 6 standard deviations of one of 10 tests
    assert np.allclose(
        fitted.score([images(3, **{"mean__level_1": np.full(3, -60.0)})]), 3600, rtol=0.1
    )


def test_it_takes_the_sizes_too_and_needs_all_tests():
    names = images(1, log_det=np.ones(1), mean_square__level_1=np.ones(1)).column_names
    assert LatentFit().uses(names)[-2:] == ("mean_square.level_1", "log_det")
    assert len(LatentFit().uses(names)) == 12
    fewer = [name for name in names if not name.startswith("kurtosis")]
    assert LatentFit().uses(fewer) == () and LatentFit().missing(fewer) == ("kurtosis.*",)
