import numpy as np

from tests.evaluation.fakes import table, with_columns
from tfp_ood.detectors.reconstruction import Reconstruction

RNG = np.random.default_rng(0)
PARTS = ("residual", "mean", "scale")


def images(count, **changes):
    columns = {f"norm_{n}.{part}": RNG.normal(size=count) for n in (1, 2) for part in PARTS}
    given = {name.replace("__", "."): values for name, values in changes.items()}
    return with_columns(table(np.full(count, 3.0)), **{**columns, **given})


def test_the_squared_distance_of_the_norms():
    fitted = Reconstruction().fit([images(3000)])
    assert abs(fitted.score([images(3000)]).mean() - 6) < 0.4
    for far in (-8.0, 8.0):
        score = fitted.score([images(200, norm_2__residual=np.full(200, far))])
        assert abs(score.mean() - (5 + 64)) < 10


def test_other_families_have_no_norms():
    assert not Reconstruction().is_applicable([table([1.0])])
    assert Reconstruction().missing(table([1.0]).column_names) == ("norm_1.*", "norm_2.*")
