"""The sections of a report together, from tables of models that do not exist."""

import json
import re

import pytest

from tests.evaluation.fakes import NUM_DIMS, table
from tests.reporting.pages import Parser
from tests.reporting.run.evidence import (
    GRAY,
    HALF,
    HELD_OUT,
    MNIST,
    OWN,
    RNG,
    SLOPES,
    WATCHED,
    evidence,
    of_flow,
)
from tfp_ood import units
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import html
from tfp_ood.reporting.run.report import make_sections
from tfp_ood.reporting.run.sections import SECTIONS

DRAWN = {"heat_map", "roc", "mistakes", "extremes", "trajectory", "terms", "contrast",
         "gray_levels", "complexity"}  # fmt: skip


def explain(root, tables, slopes=None, watched=None, only=None, held_out=()):
    """The numbers, and the words of the sections; `only` is one of them."""
    given = evidence(root, tables, slopes, watched, held_out=held_out)
    made = {only: SECTIONS[only](given)} if only else make_sections(given)
    numbers = {name: one.numbers for name, one in made.items() if one.numbers is not None}
    json.dumps(numbers, allow_nan=False)
    path = html.write(given.workdir.report, "Title", [], [one.html for one in made.values()]).path
    return numbers, " ".join(Parser(path.read_text(encoding="utf-8")).text)


def test_everything_at_once(tmp_path):
    given = [OWN, MNIST, GRAY, HALF]
    numbers, words = explain(tmp_path, given, SLOPES, WATCHED, held_out=[HELD_OUT])
    assert set(numbers) == {
        "mistakes", "trajectory", "terms", "second_order", "contrast", "gray_levels", "complexity"
    }  # fmt: skip
    # Of sets that were not watched, and of own images with less contrast, nothing is shown.
    assert list(numbers["trajectory"]["sets"]) == [OWN.key, MNIST.key]
    assert "MNIST is preferred to FashionMNIST from step 10 on" in words
    for name in DRAWN:
        assert (tmp_path / "report" / f"{name}.png").exists(), name
        assert (tmp_path / "report" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "rank correlation of falling contrast and likelihood +1.00 (means)" in words


def test_only_what_the_tables_allow_and_no_pictures_of_before(tmp_path):
    explain(tmp_path, [OWN, MNIST, GRAY, HALF], SLOPES, WATCHED, held_out=[HELD_OUT])
    plain = [table(RNG.normal(b, 0.2, 20), n) for b, n in ((3, "fashion_mnist"), (2, "mnist"))]
    numbers, words = explain(tmp_path, plain)
    assert set(numbers) == {"complexity"}
    left = {path.stem for path in (tmp_path / "report").glob("*.png")}
    assert left == {"likelihoods", "heat_map", "roc", "extremes", "complexity"}
    assert "variance" not in words and "volume" not in words


def test_the_terms_say_which_of_them_it_is(tmp_path):
    numbers, words = explain(tmp_path, [OWN, MNIST], only="terms")
    own, mnist = (numbers["terms"][f"{name}/test"] for name in ("fashion_mnist", "mnist"))
    gap = float(MNIST.log_prob.mean() - OWN.log_prob.mean())
    terms = [mnist[f"{name}_mean"] - own[f"{name}_mean"] for name in ("latent", "volume")]
    assert sum(terms) == pytest.approx(gap)
    said = f"MNIST is likelier by {gap:,.0f} nats per image: {terms[0]:+,.0f} by the latent"
    assert said in words


def test_a_constant_volume_is_said_and_not_drawn(tmp_path):
    tables = [of_flow(t, -7.0 + 1e-4 * RNG.normal(size=t.num_images)) for t in (OWN, MNIST)]
    _, words = explain(tmp_path, tables, only="terms")
    assert "the volume is the same for every image" in words


def test_prediction_and_measurement_side_by_side(tmp_path):
    numbers, words = explain(tmp_path, [OWN, MNIST], SLOPES, only="second_order")
    found = numbers["second_order"]["sets"]["mnist/test"]
    assert found["variance_term"] == pytest.approx(-0.5 * NUM_DIMS * 0.01 * -10.0)
    assert found["measured"] == pytest.approx(MNIST.log_prob.mean() - OWN.log_prob.mean())
    assert found["same_sign"] is True
    assert "as measured for 1 of 1 sets" in words
    assert re.search(r"MNIST \+1 \+8 yes \+0", words)


def test_own_images_with_less_contrast_are_in_the_sweep_only(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST, HALF])
    assert given.shown == given.sets[:2]
    numbers, _ = explain(tmp_path, [OWN, MNIST, HALF], only="contrast")
    sweep = numbers["contrast"]["dimmed"]
    assert sweep["factors"] == [0.5, 1.0]
    expected = units.log_prob_from_bits(OWN.bits_per_dim.mean() / 2, NUM_DIMS)
    assert sweep["mean"][0] == pytest.approx(expected)


def test_only_contrast_was_asked_for(tmp_path):
    _, words = explain(tmp_path, [OWN, HALF])
    assert not (tmp_path / "report" / "roc.png").exists()
    assert "Likelihood against contrast" in words


def test_other_images_than_the_own_ones_are_refused(tmp_path):
    fewer = table([1.0], "dimmed:0.5", preprocessing=HALF.metadata["preprocessing"])
    with pytest.raises(EvaluationError, match="not made of the 40 images"):
        explain(tmp_path, [OWN, of_flow(fewer, 1.0)], only="contrast")
