"""A monitor says whether new images have drifted, names foreign ones, and what it cannot show."""

import json

import numpy as np
import pytest

from tests.evaluation.fakes import write
from tests.reporting.pages import Parser
from tfp_ood.config import MonitorConfig
from tfp_ood.errors import EvaluationError, ExportError
from tfp_ood.reporting import html
from tfp_ood.reporting.monitor import page, words
from tfp_ood.workdir import open_workdir, slug

RATE = 0.1
NEW = "folder:/x/<new> images"
SETS = [("fashion_mnist", "test"), (NEW, "all")]
NUM_OWN, NUM_NEW, NUM_FOREIGN = 250, 220, 40
FOREIGN = range(10, 10 + NUM_FOREIGN)  # the fake images before are compressed better


def fill(root, rng, num_foreign, num_new=NUM_NEW, **facts):
    """Tables of a run, and of new images of which some are far too unlikely."""
    for split, number in (("validation", 250), ("test", NUM_OWN)):
        write(root, rng.normal(3.0, 0.1, number), "fashion_mnist", split)
    bits = rng.normal(3.0, 0.1, num_new)
    bits[FOREIGN.start : FOREIGN.start + num_foreign] += 2.0
    write(root, bits, NEW, "all", **facts)


def look(places):
    """Names with markup in them, and images."""
    images = np.zeros((len(places), 4, 5, 3), np.uint8)
    return [f"a/<{place}>.png" for place in places], images


def monitor(root, **changes):
    """The sentences and facts, without a page."""
    found = page.judge(open_workdir(root), SETS, RATE, MonitorConfig(NEW, **changes))
    return words.sentences(found), words.facts(found)


@pytest.fixture(scope="module", name="drifted")
def _drifted(tmp_path_factory):
    root = tmp_path_factory.mktemp("drifted")
    fill(root, np.random.default_rng(0), NUM_FOREIGN)
    result = page.write_monitor(root, SETS, RATE, MonitorConfig(NEW), look)
    return root, result, json.loads(result.path.with_name("monitor.json").read_text())


def test_drift_is_said_and_the_foreign_images_are_named(drifted):
    root, result, facts = drifted
    assert result.path == root / "monitor" / slug(NEW) / "index.html"
    assert facts["weights"] == "0123"
    assert facts["is_drift"] and "flags" in facts["found_by"] and facts["verdict"] == result.verdict
    verdict, flags, named, *_ = result.verdict
    assert verdict.startswith(
        f"Drift: the {NUM_NEW} images of <new> images are not like test image"
    )
    assert "more of them are flagged" in verdict and "at a level of 1 %" in verdict
    assert "that does not fit a false-alarm rate of 10 %" in flags
    indices = [one["index"] for one in facts["named"]]
    assert facts["num_named"] == len(indices) and set(FOREIGN) <= set(indices)
    assert len(indices) <= 1.25 * NUM_FOREIGN
    assert named.startswith(f"{len(indices)} images are named as foreign, of which at most 10 %")
    first = facts["named"][0]
    assert first["name"] == f"a/<{first['index']}>.png" and first["reasons"]
    assert first["p_value"] == pytest.approx(1 / (NUM_OWN + 1))
    assert facts["num_flagged"] >= NUM_FOREIGN and facts["auroc"] > 0.55


def test_the_page_holds_all_and_asks_for_nothing(drifted):
    _, result, facts = drifted
    text = result.path.read_text(encoding="utf-8")
    parsed = Parser(text)
    assert not {"script", "link"} & {tag for tag, _ in parsed.tags}
    text_of_all = " ".join(parsed.text)
    assert all(sentence in text_of_all for sentence in result.verdict)
    assert sum(tag == "img" for tag, _ in parsed.tags) == 2
    name = facts["named"][-1]["name"]
    assert name not in text and html.escape(name) in text
    assert "flagged by the guard" in text_of_all
    assert f"{facts['flagged'] * 100:.1f} %" in text_of_all
    small = [p for p in facts["p_values"].values() if p < 1e-4]
    assert small and sum(words == "< 0.0001" for words in parsed.text) == len(small)
    for figure in ("histograms", "suspicious"):
        assert result.path.with_name(f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_own_images_have_not_drifted_and_what_that_cannot_show_is_said(tmp_path):
    fill(tmp_path, np.random.default_rng(1), 0)
    (verdict, flags, named, cannot), facts = monitor(tmp_path)
    assert not facts["is_drift"] and verdict.startswith(f"No drift: the {NUM_NEW} images of")
    assert "that fits a false-alarm rate of 10 %" in flags
    low, high = facts["num_flagged_expected"]
    assert f"at which {low} to {high} of {NUM_NEW} own images are flagged" in flags
    assert facts["num_named"] == 0 and "it takes 9 at once that are more unusual" in named
    share = facts["smallest_share"]
    assert 0.05 < share < 0.2 and f"a share of {100 * share:.1f} % of foreign ones" in cannot
    _, facts = monitor(tmp_path, level=0.001, false_discovery_rate=0.5)
    assert facts["level"] == 0.001 and facts["smallest_share"] > share


def test_that_some_of_the_images_alone_were_judged_is_said(tmp_path):
    fill(tmp_path, np.random.default_rng(1), 0, preprocessing={"chosen_at_random_of": 5_000})
    (*_, chosen, _), facts = monitor(tmp_path)
    assert chosen.startswith(
        f"Caution: {NUM_NEW} of the 5,000 images were judged, chosen at random"
    )
    assert facts["num_there"] == 5_000


def test_few_images_are_cautioned_against(tmp_path):
    fill(tmp_path, np.random.default_rng(2), 0, num_new=30)
    verdict, facts = monitor(tmp_path)
    assert verdict[-1].startswith("Caution: 30 images are few. With 30 images a share of ")
    assert facts["smallest_share"] > 0.2
    fill(tmp_path, np.random.default_rng(2), 0, num_new=1)
    verdict, facts = monitor(tmp_path)
    assert not facts["is_drift"] and facts["smallest_share"] is None
    assert "So few (1) can show nothing" in verdict[-1]


def test_too_few_own_images_to_name_any_are_told(tmp_path):
    fill(tmp_path, np.random.default_rng(2), 0)
    write(tmp_path, np.random.default_rng(2).normal(3.0, 0.1, 16), "fashion_mnist", "test")
    (*_, named, _), facts = monitor(tmp_path, false_discovery_rate=0.05)
    assert facts["num_named"] == 0
    assert f"with only 16 own test images none of {NUM_NEW} can be" in named


def test_every_listed_image_has_its_name(tmp_path):
    """Of as many as are listed, not only of those that the page shows."""
    fill(tmp_path, np.random.default_rng(0), 300, num_new=400)
    path = page.write_monitor(tmp_path, SETS, RATE, MonitorConfig(NEW), look).path
    named = json.loads(path.with_name("monitor.json").read_text())["named"]
    assert len(named) > 250
    assert all(one["name"] == f"a/<{one['index']}>.png" for one in named)


def test_own_images_that_are_flagged_too_often_are_a_caution(tmp_path):
    """New images like them are no drift: it is the images held out that differ."""
    rng = np.random.default_rng(3)
    fill(tmp_path, rng, 0)
    for (name, split), number in zip(SETS, (NUM_OWN, NUM_NEW), strict=True):
        write(tmp_path, rng.normal(3.1, 0.1, number), name, split)
    verdict, facts = monitor(tmp_path)
    assert not facts["is_drift"] and "does not fit" in verdict[1]
    caution = (
        f"Caution: of the {NUM_OWN} own test images {round(facts['flagged_of_own'] * NUM_OWN)}"
    )
    assert verdict[-1].startswith(caution) and ", where 1" in verdict[-1]


def test_without_a_guard_there_is_no_monitor(tmp_path):
    fill(tmp_path, np.random.default_rng(4), 0)
    path = tmp_path / "scores" / "fashion_mnist.validation.parquet"
    path.unlink()
    with pytest.raises(ExportError, match="no scores of held-out images"):
        monitor(tmp_path)
    write(tmp_path, np.full(10, 3.0), "fashion_mnist", "validation")
    with pytest.raises(ExportError, match="would flag nothing"):
        monitor(tmp_path)


def test_scores_of_another_model_are_refused(tmp_path):
    fill(tmp_path, np.random.default_rng(5), 0)
    write(tmp_path, np.full(10, 3.0), NEW, "all", family="vae")
    with pytest.raises(EvaluationError, match="cannot be compared: family"):
        monitor(tmp_path)
