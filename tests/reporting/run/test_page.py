"""The page of a run, as a browser reads it."""

import re

import numpy as np
import pytest

from tests.evaluation.fakes import write
from tests.reporting.pages import DASH, Parser
from tfp_ood.config import Config, DataConfig, EvaluateConfig
from tfp_ood.reporting.run.report import write_report

EVIL = "folder:/x/<script>alert(1)</script>&\"'{0}"  # braces are no format


def report(root, name="mnist", num_foreign=3, config=None, samples=False):
    """A report on three own images and some others."""
    write(root, [2.0, 3.0, 4.0], "fashion_mnist")
    write(root, np.linspace(1, 2.5, num_foreign), name)
    if samples:
        (root / "samples").mkdir()
        np.save(root / "samples" / "samples.npy", np.zeros((1, 2, 2, 1), np.uint8))
        (root / "samples" / "samples.json").write_text('{"weights": "0123", "temperature": 1.0}')
    result = write_report(root, [("fashion_mnist", "test"), (name, "test")], config)
    assert result.path == root / "report" / "index.html"
    return result


@pytest.fixture(scope="module", name="result")
def _result(tmp_path_factory):
    return report(tmp_path_factory.mktemp("run"), num_foreign=1, samples=True)


@pytest.fixture(scope="module", name="parsed")
def _parsed(result):
    return Parser(result.path.read_text(encoding="utf-8"))


def test_it_says_the_verdict_and_the_figures(result, parsed):
    text = " ".join(parsed.text)
    for sentence in result.verdict:
        assert sentence in text
    assert "Does Glow, trained on FashionMNIST, know what it does not know?" in text
    assert f"Likelihood 0.000 0.000{DASH}0.000 Input complexity" in text
    fpr95 = f"1.000 1.000{DASH}1.000 1.000 1.000{DASH}1.000 "
    assert re.search(rf"MNIST 0\.000 0\.000{DASH}0\.000 {fpr95}0\.250 ", text)
    assert "There is no guard here." in text
    assert "a lower bound of log p(x), 2 noise draw(s) per image" in text
    assert "1,234" in text


def test_it_asks_for_nothing_from_outside(parsed):
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    images = [attrs for tag, attrs in parsed.tags if tag == "img"]
    assert len(images) == 6  # likelihoods, heat map, ROC, extremes, complexity and samples
    assert all(i["src"].startswith("data:image/png;base64,") and i["alt"] for i in images)
    assert all("href" not in attrs for _, attrs in parsed.tags)


def test_language_charset_and_phone(parsed):
    assert ("html", {"lang": "en"}) in parsed.tags
    assert ("meta", {"charset": "utf-8"}) in parsed.tags
    assert any(attrs.get("name") == "viewport" for _, attrs in parsed.tags)


def test_names_and_settings_are_escaped(tmp_path):
    data = DataConfig(in_distribution=EVIL)
    config = Config(data=data, evaluate=EvaluateConfig(num_draws=2), seed=3)
    parsed = Parser(report(tmp_path, EVIL, config=config).path.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in parsed.tags}
    text = " ".join(parsed.text)
    assert f"data.in_distribution {EVIL}" in text
    assert "seed 3" in text
    assert f"{EVIL}/test" in text
    assert "has not been sampled yet" in text
