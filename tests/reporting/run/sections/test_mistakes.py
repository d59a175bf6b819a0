"""Images that the guard gets wrong, the worst first, with reasons."""

import dataclasses
import html
import json

import numpy as np
import pytest

from tests.evaluation.fakes import with_columns
from tests.reporting.run.evidence import HELD_OUT, MNIST, OWN, evidence
from tfp_ood.reporting.run.sections import mistakes


@pytest.fixture(name="given")
def _given(tmp_path):
    near = OWN.take(np.arange(30))
    facts = MNIST.metadata
    near = type(near)(**{**vars(near), "dataset": "mnist", "metadata": facts})
    return evidence(tmp_path, [OWN, near], held_out=[HELD_OUT])


def test_missed_images_are_the_least_suspicious_first(given):
    near = given.sets[1]
    judgement = given.panel.guard.judge([near.table])
    found = mistakes.mistakes(near, judgement, is_own=False)
    passed = np.flatnonzero(~judgement.flagged)
    assert (found["num_looked_at"], found["num_wrong"]) == (30, len(passed))
    shown = [entry["index"] for entry in found["shown"]]
    assert shown == list(passed[np.argsort(judgement.score[passed], kind="stable")][:8])
    assert found["shown"][0]["p_value"] == max(judgement.p_value[passed])


def test_own_images_that_are_flagged_are_the_most_suspicious_first(given):
    own = given.sets[0]
    judgement = given.panel.guard.judge([own.table])
    found = mistakes.mistakes(own, judgement, is_own=True)
    flagged = np.flatnonzero(judgement.flagged)
    assert found["num_wrong"] == len(flagged)
    shown = [entry["index"] for entry in found["shown"]]
    assert shown == list(flagged[np.argsort(-judgement.score[flagged], kind="stable")][:8])
    for entry in found["shown"]:
        fired = [n for n, one in judgement.fired.items() if one[entry["index"]]]
        assert len(entry["reasons"]) == len(fired)


def test_only_kept_images_are_looked_at(given):
    own = given.sets[1]
    kept = type(own.kept)(
        **{**vars(own.kept), "spread": own.kept.spread[::3], "spread_index": np.arange(0, 30, 3)}
    )
    one = type(own)(own.table, own.about, kept)
    found = mistakes.mistakes(one, given.panel.guard.judge([own.table]), is_own=False)
    assert found["num_looked_at"] == 10
    assert {entry["index"] for entry in found["shown"]} <= set(range(0, 30, 3))
    # The picture shows the image of that index.
    figure = mistakes.draw([one], {one.key: found}, "")
    first = found["shown"][0]["index"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), kept.spread[first // 3])


def test_the_section_says_and_shows_it(given):
    made = mistakes.section(given)
    json.dumps(made.numbers, allow_nan=False)
    assert "MNIST: " in made.html and "of the images looked at pass." in made.html
    assert (given.workdir.report / "mistakes.png").exists()


def test_the_files_of_a_person_s_own_images_are_listed(tmp_path):
    near = dataclasses.replace(OWN.take(np.arange(30)), dataset="mnist", metadata=MNIST.metadata)
    files = np.array([f"scans/{number}<.png" for number in range(30)], object)
    given = evidence(tmp_path, [OWN, dataclasses.replace(near, source=files)], held_out=[HELD_OUT])
    made = mistakes.section(given)
    shown = made.numbers["mnist/test"]["shown"]
    assert [entry["source"] for entry in shown] == [files[entry["index"]] for entry in shown]
    assert all(html.escape(entry["source"]) in made.html for entry in shown)
    assert not any("source" in entry for entry in made.numbers["fashion_mnist/test"]["shown"])
    json.dumps(made.numbers, allow_nan=False)


def test_nothing_without_a_guard_or_without_mistakes(tmp_path):
    assert mistakes.section(evidence(tmp_path, [OWN, MNIST])) is None
    # All far away, and own images that are those of the held-out half.
    far = with_columns(MNIST, code_bits=np.zeros(30))
    own = HELD_OUT.take(np.argsort(np.abs(HELD_OUT.log_prob - np.median(HELD_OUT.log_prob)))[:3])
    own = type(own)(**{**vars(own), "split": "test", "metadata": OWN.metadata})
    made = mistakes.section(evidence(tmp_path, [own, far], held_out=[HELD_OUT]))
    assert made is None or "MNIST:" not in made.html
