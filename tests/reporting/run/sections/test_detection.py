"""The tables of detectors, and what is said of those that were left out."""

import re

import numpy as np

from tests.evaluation.fakes import table
from tests.reporting.pages import DASH, Parser
from tests.reporting.run.evidence import HELD_OUT, MNIST, OWN, evidence
from tfp_ood import detectors
from tfp_ood.detectors.base import Detector
from tfp_ood.reporting.run.sections import detection
from tfp_ood.reporting.summary import auroc_words


def said(given):
    return " ".join(Parser(f"<div>{detection.section(given).html}</div>").text)


def test_a_row_for_each_detector_with_the_combined_one_apart(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST], held_out=[HELD_OUT])
    words, made = said(given), detection.section(given).html
    about = given.sets[1].about
    for name, detector in given.panel.detectors.items():
        auroc, low, high = re.findall(r"\d\.\d{3}", auroc_words(about.scores[name]))
        assert f"{detector.title} {auroc} {low}{DASH}{high}" in words
    assert '<table class="metrics apart">' in made
    last = made.split("</table>")[0].rsplit('<th scope="row">', 1)[1]
    assert last.startswith("<b>All detectors combined</b>")
    assert made.count("<td><b>") >= 1


def test_shares_of_the_guard_and_of_likelihood_of_the_own_set_too(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST], held_out=[HELD_OUT])
    words = said(given)
    assert "both set to 10 % of false alarms" in words
    for label, one in (("FashionMNIST (own)", given.sets[0]), ("MNIST", given.sets[1])):
        low, high = (100 * end for end in one.about.flagged_interval)
        shares = f"{label} {100 * one.about.flagged:.1f} % {low:.1f}{DASH}{high:.1f} "
        assert f"{shares}{100 * one.about.flagged_by_likelihood:.1f} %" in words


def test_both_conventions_are_named_and_few_tables_are_unfolded(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST], held_out=[HELD_OUT])
    open_part, folded = detection.section(given).html.split("<details>")
    assert "FPR95, foreign positive" in open_part and "FPR95, own positive" in open_part
    for title in ("Likelihood", "All detectors combined"):
        assert f"{title} as a detector" in open_part
    assert "Typicality as a detector" in folded


def test_what_was_left_out_and_why(tmp_path):
    words = said(evidence(tmp_path, [OWN, MNIST], held_out=[HELD_OUT]))
    family = "Left out: Goodness of fit of the latents, Norms of the reconstruction"
    assert f"{family}. Not for this family of models." in words
    words = said(evidence(tmp_path, [OWN, MNIST]))
    assert "Without images held out of the training (config.data.num_validation)." in words
    assert "There is no guard here. There are no scores of held-out images" in words


class Toy(Detector):
    name, title, needs, how_to_get = "toy", "Toy", ("toy",), "config.evaluate.toys"

    def score(self, tables):
        return np.zeros(1)


def test_what_gives_a_column_is_said(monkeypatch):
    monkeypatch.setitem(detectors.DETECTORS, "toy", Toy())
    assert detection.left_out({"toy": ("toy",), "reconstruction": ("norm_1.*",)}) == [
        "Left out: Toy. Needed: config.evaluate.toys.",
        "Left out: Norms of the reconstruction. Not for this family of models.",
    ]
    assert detection.left_out({}) == []


def test_too_few_held_out_images_are_said(tmp_path):
    few = table([3.0, 3.1, 2.9], "fashion_mnist", "validation")
    words = said(evidence(tmp_path, [table([3.0], "fashion_mnist"), table([2.0])], held_out=[few]))
    assert "would flag nothing" in words
