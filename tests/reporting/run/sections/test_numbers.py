"""The numbers of the sections against SciPy and by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.evaluation.fakes import NUM_DIMS, judged, table, with_columns
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting.run.sections.complexity import complexity
from tfp_ood.reporting.run.sections.contrast import sweeps
from tfp_ood.reporting.run.sections.gray_levels import draw, gray_levels
from tfp_ood.reporting.run.sections.terms import decomposition

RNG = np.random.default_rng(0)
OWN = table(RNG.normal(3, 0.2, 40), "fashion_mnist")


def reduced(bits, kind, factor, of="fashion_mnist"):
    how = {"reduction": {"of": of, "kind": kind, "factor": factor}}
    return table(bits, f"{kind}:{factor}", preprocessing=how)


def test_the_terms_of_a_flow():
    latent = RNG.normal(size=40)
    volume = OWN.log_prob - latent + np.eye(40)[3] * 0.6
    found = decomposition(with_columns(OWN, log_prob_latent=latent, log_det=volume))
    assert found["latent_mean"] == pytest.approx(latent.mean())
    assert found["volume_std"] == pytest.approx(volume.std())
    assert found["residual_per_dim"] == pytest.approx(0.6 / NUM_DIMS)


def test_other_families_have_no_terms():
    assert decomposition(OWN) is None


def test_complexity_is_scipys_correlation():
    size = RNG.integers(60, 90, 40).astype(float)
    found = complexity(with_columns(OWN, code_bits=8 * size))
    assert found["spearman"] == pytest.approx(stats.spearmanr(size, OWN.log_prob)[0])
    assert found["pearson"] == pytest.approx(np.corrcoef(size, OWN.log_prob)[0, 1])
    assert found["code_bits_per_dim"] == pytest.approx(8 * size.mean() / NUM_DIMS)


def test_no_correlation_with_what_does_not_vary():
    assert complexity(OWN)["spearman"] is None


def test_a_sweep_that_rises_at_every_step():
    steps = [reduced(OWN.bits_per_dim * f, "dimmed", f) for f in (0.5, 0.25, 0.75)]
    found = sweeps(OWN, [table([1.0], "mnist"), *steps])
    assert list(found) == ["dimmed"]
    assert found["dimmed"]["factors"] == [0.25, 0.5, 0.75, 1.0]
    assert found["dimmed"]["mean"][-1] == pytest.approx(OWN.log_prob.mean())
    assert found["dimmed"]["spearman_of_means"] == pytest.approx(1.0)
    assert found["dimmed"]["spearman_of_images"] == pytest.approx(1.0)


def test_a_sweep_that_does_not_is_scipys_correlation_of_each_image():
    factors = [0.2, 0.4, 0.6, 0.8]
    bits = RNG.normal(size=(4, 40))
    given = [reduced(b, "contrast", f) for b, f in zip(bits, factors, strict=True)]
    found = sweeps(OWN, given)["contrast"]
    log_prob = np.stack([t.log_prob for t in [*given, OWN]])
    falling = -np.array([*factors, 1.0])
    expected = [stats.spearmanr(falling, image)[0] for image in log_prob.T]
    assert found["spearman_of_images"] == pytest.approx(np.mean(expected))
    means = log_prob.mean(1)
    assert found["spearman_of_means"] == pytest.approx(stats.spearmanr(falling, means)[0])


def test_a_sweep_of_other_images_is_refused():
    with pytest.raises(EvaluationError, match="not made of the 40 images of fashion_mnist/test"):
        sweeps(OWN, [reduced([1.0], "contrast", 0.5)])
    with pytest.raises(EvaluationError, match="not made of"):
        sweeps(OWN, [reduced(OWN.bits_per_dim, "contrast", 0.5, of="mnist")])


def test_gray_levels():
    bits = np.linspace(1, 5, 256)
    given = with_columns(table(bits, "constant", "all"), pixel_mean=np.arange(256.0))
    found = gray_levels(given, OWN)
    assert (found["likeliest"], found["unlikeliest"]) == (0, 255)
    assert found["share_above_own"] == pytest.approx(np.mean(bits < np.median(OWN.bits_per_dim)))
    # Of a choice of them (`data.num_test`) the table counts the images, not the levels.
    chosen = dataclasses.replace(given.take(np.arange(7, 250, 3)), index=np.arange(81))
    found = gray_levels(chosen, OWN)
    assert (found["likeliest"], found["unlikeliest"]) == (7, 247)
    (line,) = draw(chosen, judged([OWN])[0]).axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(7, 250, 3))
    assert gray_levels(OWN, OWN) is None
