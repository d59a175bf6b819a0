"""An audit says who would pass, shows them, and names the files that could not be read."""

import json

import numpy as np
import pytest

from tests.evaluation.fakes import judged, table, write
from tests.reporting.pages import Parser
from tfp_ood.detectors.guard import Judgement
from tfp_ood.errors import EvaluationError, ExportError
from tfp_ood.reporting import html
from tfp_ood.reporting.audit import page as audit
from tfp_ood.reporting.audit import plots

RNG = np.random.default_rng(0)
SETS = [("fashion_mnist", "test"), ("mnist", "test"), ("noise", "all")]
RATE = 0.1
ALIKE = {"duplicates": {"num_images": 60, "num_copies": 0, "num_alike": 4}}
SMALL = {"code_bits": np.full(199, 24.0)}
SMALL_40 = {"code_bits": np.full(40, 24.0)}


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    """Own images around 3 bits/dim, MNIST far too likely, noise far too unlikely."""
    root = tmp_path_factory.mktemp("run")
    write(root, RNG.normal(3.0, 0.1, 199), "fashion_mnist", "validation", SMALL)
    for (name, split), mean in zip(SETS, (3.0, 2.0, 8.0), strict=True):
        columns = {"code_bits": np.zeros(60)} if name == "mnist" else SMALL
        found = ALIKE if name == "fashion_mnist" else None
        write(root, RNG.normal(mean, 0.1, 60), name, split, columns, found)
    return root


@pytest.fixture(scope="module", name="result")
def _result(workdir):
    return audit.write_audit(workdir, SETS, RATE)


def test_who_would_pass(result):
    facts = json.loads(result.path.with_name("audit.json").read_text())
    assert facts["weights"] == "0123"
    mnist, noise = facts["sets"]["mnist/test"], facts["sets"]["noise/all"]
    assert mnist["passes_likelihood"] == 1.0 and mnist["passes_guard"] == 0.0
    assert mnist["fired"]["log_prob"] == {"too_high": 0.0, "too_low": 1.0}
    assert noise["passes_likelihood"] == noise["passes_guard"] == 0.0
    assert noise["fired"]["log_prob"]["too_high"] == 1.0
    assert mnist["fired"]["complexity"] == {"too_high": 1.0, "too_low": 0.0}
    own = facts["sets"]["fashion_mnist/test"]
    assert own["passes_guard"] == pytest.approx(1 - RATE, abs=0.12)
    assert result.verdict == facts["verdict"]
    assert result.verdict[0] == (
        "A threshold on likelihood would let through most images of 1 of 2 sets: MNIST (100 %)."
    )
    assert "The guard would let through most images of 0: none" in result.verdict[1]
    said = "it stops nearly all (at least 95 %) of 2: MNIST (100 %), noise (100 %)."
    assert result.verdict[1].endswith(said)
    assert "where 10 % were allowed" in result.verdict[2]


def test_why_they_do_not_pass(result):
    facts = json.loads(result.path.with_name("audit.json").read_text())
    mnist = facts["sets"]["mnist/test"]["main_reason"]
    assert mnist["share_of_flagged"] == 1.0
    assert f"MNIST ({mnist['words']})" in result.verdict[3]
    words = " ".join(Parser(result.path.read_text(encoding="utf-8")).text)
    assert f"MNIST 0.0 % {mnist['words']} 100 % of the flagged" not in words  # it passes likelihood
    assert f"MNIST 100.0 % 0.0 % {mnist['words']} 100 % of the flagged" in words
    assert "100.0 % too likely 100.0 % too unlikely" in words


def test_the_page_holds_all_and_asks_for_nothing(result):
    parsed = Parser(result.path.read_text(encoding="utf-8"))
    assert not {"script", "link"} & {tag for tag, _ in parsed.tags}
    words = " ".join(parsed.text)
    assert all(sentence in words for sentence in result.verdict)
    assert "could not be read" not in words
    for explained in ("p-value", "percentile", "reasons", "--config.export.false_alarm_rate=0.01"):
        assert explained in words
    assert result.path.with_name("images.png").read_bytes().startswith(b"\x89PNG")


def test_who_stops_an_image():
    flagged, beyond = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], bool)
    found = Judgement(np.zeros(4), np.ones(4), flagged, beyond, {})
    assert plots.who_stops(found, [0, 1, 2, 3]) == ["L", "P", "G", "L"]


def test_files_that_could_not_be_read_are_listed_once():
    skipped = {"skipped": [["a/b.png", "truncated"], ["<c>.jpg", "empty"]]}
    own = table([3.0], "folder:/x/photos", "test", preprocessing=skipped)
    corruption = {"corruption": {"of": own.dataset, "kind": "blurred", "strength": 1.0}}
    blurred = table([3.0], "blurred:1", "test", preprocessing={**skipped, **corruption})
    section = audit._skipped_section(judged([own, blurred]))
    assert section.count("truncated") == 1 and "2 files were left out" in section
    assert "<c>" not in section and html.escape("<c>.jpg") in section


def test_files_that_were_not_looked_at_are_listed_once():
    files = [["<a>.avif", "AVIF"], ["notes.txt", ""]]
    others = {"not_looked_at": {"num_files": 300, "num_images": 1, "files": files}}
    own = table([3.0], "folder:/x/photos", "test", preprocessing=others)
    corruption = {"corruption": {"of": own.dataset, "kind": "blurred", "strength": 1.0}}
    blurred = table([3.0], "blurred:1", "test", preprocessing={**others, **corruption})
    section = audit._skipped_section(judged([own, blurred]))
    assert "could not be read" not in section and section.count("AVIF") == 1
    assert "Files that were not looked at: 300, of which 2 are listed, with" in section
    assert "<a>" not in section and html.escape("<a>.avif") in section
    assert section.count("no image by its name") == 1
    facts = {
        one: {
            "num_images": 1,
            "passes_likelihood": 1.0,
            "passes_guard": 1.0,
            "flagged_interval": [0.0, 0.98],
        }
        for one in (own.key,)
    }
    *_, caution = audit.audit_outcome(facts, judged([own]), RATE)
    assert caution.startswith("Caution: photos holds files that were not looked at")


def test_images_that_look_alike_are_told(result):
    words = " ".join(Parser(result.path.read_text(encoding="utf-8")).text)
    assert "Caution: 4 of the 60 images of FashionMNIST look very much like another" in words


def test_what_few_own_images_can_tell_is_said(tmp_path):
    """Of a folder of 200 images 20 are left for the test."""
    write(tmp_path, RNG.normal(3.0, 0.1, 40), "fashion_mnist", "validation", SMALL_40)
    for (name, split), mean in zip(SETS, (3.0, 2.0, 8.0), strict=True):
        write(tmp_path, RNG.normal(mean, 0.1, 20), name, split, {"code_bits": np.full(20, 24.0)})
    page = audit.write_audit(tmp_path, SETS, RATE)
    words = " ".join(Parser(page.path.read_text(encoding="utf-8")).text)
    assert "Of 20 own test images likelihood flags" in words
    said = json.loads((page.path.parent / "audit.json").read_text())
    low, high = said["sets"]["fashion_mnist/test"]["flagged_interval"]
    assert 0.0 <= low < high and high > 0.15
    assert f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)" in words
    assert "Caution: there are few images of FashionMNIST (20)" in words


def test_too_few_validation_images_are_refused(tmp_path):
    for name, split in (*SETS[:2], ("fashion_mnist", "validation")):
        write(tmp_path, [3.0] * 10, name, split)
    with pytest.raises(ExportError, match="would flag nothing"):
        audit.write_audit(tmp_path, SETS[:2], RATE)


def test_the_guard_needs_scored_validation_images(tmp_path):
    for name, split in SETS[:2]:
        write(tmp_path, [3.0] * 50, name, split)
    with pytest.raises(EvaluationError, match="validation"):
        audit.write_audit(tmp_path, SETS[:2], RATE)
