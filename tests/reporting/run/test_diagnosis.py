"""The explanations of a report, from tables of models that do not exist."""

import dataclasses
import json
import re

import numpy as np
import pytest

from tests.evaluation.fakes import NUM_DIMS, table
from tests.reporting.run.test_page import Parser
from tfp_ood import trajectory, units
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.images import Kept
from tfp_ood.reporting import html
from tfp_ood.reporting.run import diagnosis
from tfp_ood.reporting.summary import summarize

RNG = np.random.default_rng(0)
SHAPE = (2, 2, 3)
SLOPES = {name: np.full(SHAPE, 0.01) for name in ("kernel_sensitivity", "sensitivity", "gradient")}


def of_flow(made, volume):
    """The table with the terms of a flow, of which `volume` is one."""
    terms = {"log_prob_latent": made.log_prob - volume, "log_det": volume + 0 * made.log_prob}
    size = RNG.integers(60, 90, made.num_images).astype(float)
    return dataclasses.replace(made, statistics={**made.statistics, **terms, "png_bytes": size})


def kept(made, variance):
    images = RNG.integers(0, 256, (2, min(16, made.num_images), *SHAPE), np.uint8)
    order = np.argsort(-made.log_prob)[:16]
    return Kept(images, np.stack([order, order]), np.ones(SHAPE), np.full(SHAPE, variance))


def reduced(own, kind, factor):
    how = {"reduction": {"of": own.dataset, "kind": kind, "factor": factor}}
    return table(own.bits_per_dim * factor, f"{kind}:{factor}", preprocessing=how)


OWN = of_flow(table(RNG.normal(3, 0.2, 40), "fashion_mnist"), RNG.normal(size=40))
MNIST = of_flow(table(RNG.normal(2, 0.2, 30), "mnist"), RNG.normal(5, 1, 30))
GRAY = of_flow(table(np.linspace(1, 4, 256), "constant", "all"), 3.0)
HALF = of_flow(reduced(OWN, "dimmed", 0.5), RNG.normal(size=40))


WATCHED = {
    step: {
        t.key: trajectory.scored(t.dataset, t.split, t.index, t.log_prob - 100 / step, NUM_DIMS)
        for t in (OWN, MNIST, HALF)
    }
    for step in (10, 20)
}


def evidence(folder, tables, slopes=None, watched=None):
    summary = summarize(tables[0], tables[1:])
    labels = [entry["label"] for entry in summary["datasets"].values()]
    variances = [kept(t, 100.0 - 10 * i) for i, t in enumerate(tables)]
    return diagnosis.Evidence(folder, tables, variances, labels, summary, slopes, watched or {})


def explain(folder, tables, slopes=None, watched=None):
    """The numbers, and the words of the sections."""
    numbers, sections = diagnosis.explain(evidence(folder, tables, slopes, watched))
    json.dumps(numbers, allow_nan=False)
    path = html.write(folder, "Title", sections)
    return numbers, " ".join(Parser(path.read_text(encoding="utf-8")).text)


def test_everything_at_once(tmp_path):
    numbers, words = explain(tmp_path, [OWN, MNIST, GRAY, HALF], SLOPES, WATCHED)
    assert set(numbers) == {
        "progress", "terms", "second_order", "contrast", "gray_levels", "complexity"
    }  # fmt: skip
    # Of sets that were not watched, and of own images with less contrast, nothing is shown.
    assert list(numbers["progress"]["sets"]) == [OWN.key, MNIST.key]
    assert "MNIST is preferred to FashionMNIST from step 10 on" in words
    for name in diagnosis.FIGURES:
        assert (tmp_path / f"{name}.png").exists(), name
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "MNIST, AUROC" not in words  # said in the picture, and to those who cannot see it
    assert "rank correlation of falling contrast and likelihood +1.00 (means)" in words


def test_only_what_the_tables_allow_and_no_pictures_of_before(tmp_path):
    explain(tmp_path, [OWN, MNIST, GRAY, HALF], SLOPES, WATCHED)
    plain = [table(RNG.normal(b, 0.2, 20), n) for b, n in ((3, "fashion_mnist"), (2, "mnist"))]
    numbers, words = explain(tmp_path, plain)
    assert set(numbers) == {"complexity"}
    left = {path.stem for path in tmp_path.glob("*.png")}
    assert left == {"roc", "extremes", "complexity"}
    assert "variance" not in words and "volume" not in words


def test_the_terms_say_which_of_them_it_is(tmp_path):
    numbers, words = explain(tmp_path, [OWN, MNIST])
    own, mnist = (numbers["terms"][f"{name}/test"] for name in ("fashion_mnist", "mnist"))
    gap = float(MNIST.log_prob.mean() - OWN.log_prob.mean())
    terms = [mnist[f"{name}_mean"] - own[f"{name}_mean"] for name in ("latent", "volume")]
    assert sum(terms) == pytest.approx(gap)
    said = f"MNIST is likelier by {gap:,.0f} nats per image: {terms[0]:+,.0f} by the latent"
    assert said in words


def test_a_constant_volume_is_said_and_not_drawn(tmp_path):
    tables = [of_flow(t, -7.0 + 1e-4 * RNG.normal(size=t.num_images)) for t in (OWN, MNIST)]
    _, words = explain(tmp_path, tables)
    assert "the volume is the same for every image" in words


def test_prediction_and_measurement_side_by_side(tmp_path):
    numbers, words = explain(tmp_path, [OWN, MNIST], SLOPES)
    found = numbers["second_order"]["sets"]["mnist/test"]
    assert found["variance_term"] == pytest.approx(-0.5 * NUM_DIMS * 0.01 * -10.0)
    assert found["measured"] == pytest.approx(MNIST.log_prob.mean() - OWN.log_prob.mean())
    assert found["same_sign"] is True
    assert "as measured for 1 of 1 sets" in words
    assert re.search(r"MNIST \+1 \+8 yes \+0", words)


def test_own_images_with_less_contrast_are_in_the_sweep_only(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST, HALF])
    assert given.without_reduced() == [0, 1]
    numbers, _ = diagnosis.explain(given)
    sweep = numbers["contrast"]["dimmed"]
    assert sweep["factors"] == [0.5, 1.0]
    expected = units.log_prob_from_bits(OWN.bits_per_dim.mean() / 2, NUM_DIMS)
    assert sweep["mean"][0] == pytest.approx(expected)


def test_only_contrast_was_asked_for(tmp_path):
    _, words = explain(tmp_path, [OWN, HALF])
    assert not (tmp_path / "roc.png").exists()
    assert "Likelihood against contrast" in words


def test_other_images_than_the_own_ones_are_refused(tmp_path):
    fewer = table([1.0], "dimmed:0.5", preprocessing=HALF.metadata["preprocessing"])
    with pytest.raises(EvaluationError, match="not made of the 40 images"):
        explain(tmp_path, [OWN, of_flow(fewer, 1.0)])
