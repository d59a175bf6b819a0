import numpy as np
from scipy import stats

from tests.evaluation.fakes import table, with_columns
from tfp_ood.detectors.density import Density

RNG = np.random.default_rng(0)
COUNT = 2000


def flow(latent, volume):
    return with_columns(
        table(np.full(len(latent), 3.0)).without(["code_bits"]),
        log_prob_latent=latent,
        log_det=volume,
    )


def test_minus_the_log_density_of_the_terms():
    held_out = flow(RNG.normal(-50, 5, COUNT), RNG.normal(100, 2, COUNT))
    score = Density().fit([held_out]).score([flow(np.array([-50.0, -40]), np.array([100.0, 98]))])
    expected = -stats.norm.logpdf([0, 2]) - stats.norm.logpdf([0, -1])
    np.testing.assert_allclose(score, expected, atol=0.2)


def test_it_takes_what_the_table_has():
    every = ("log_prob", "bits_per_dim", "log_det", "log_prob_latent", "code_bits", "mean.level_1")
    assert Density().uses(every) == ("log_prob_latent", "log_det", "code_bits")
    assert Density().uses(("log_prob", "code_bits", "mean.level_1")) == ("log_prob", "code_bits")
    assert Density().uses(("log_prob", "log_prob.red")) == ("log_prob.red",)
    assert Density().uses(("code_bits",)) == ()
    taken = Density().uses(("log_prob", "log_prob_latent", "log_det"))
    assert Density().uses(taken) == taken


def test_high_and_low_are_both_unusual():
    held_out = flow(RNG.normal(size=COUNT), RNG.normal(size=COUNT))
    judged = flow(np.array([0.0, 9.0, -9.0]), np.zeros(3))
    usually, high, low = Density().fit([held_out]).score([judged])
    assert high > usually + 20 and low > usually + 20
