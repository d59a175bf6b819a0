import html.parser
import re

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.reporting import figures
from tfp_ood.reporting.run.page import write_page
from tfp_ood.reporting.summary import summarize
from tfp_ood.reporting.verdict import verdict

EVIL = "folder:/x/<script>alert(1)</script>&\"'"
VOID = {"meta", "img", "br"}


class Parser(html.parser.HTMLParser):
    """Tags, attributes and text; fails on tags that do not match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "style" not in self.open:
            self.text.append(data.strip())


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    figures.sample_grid(np.zeros((1, 2, 2, 1), np.uint8), path)
    return path


def summary(name="mnist", num_foreign=3):
    own = table([2.0, 3.0, 4.0], "fashion_mnist")
    return summarize(own, [table(np.linspace(1, 2.5, num_foreign), name)])


def page(tmp_path, *args, **kwargs):
    path = write_page(tmp_path / "report", *args, **kwargs)
    assert path == tmp_path / "report" / "index.html"
    return path.read_text(encoding="utf-8")


def test_it_says_the_verdict_and_the_figures(tmp_path, picture):
    given = summary(num_foreign=1)
    parsed = Parser(page(tmp_path, given, picture))
    text = " ".join(parsed.text)
    for sentence in verdict(given):
        assert sentence in text
    assert "Does Glow, trained on FashionMNIST, know what it does not know?" in text
    assert re.search(
        r"MNIST 0\.000 0\.000.0\.000 1\.000 1\.000.1\.000 1\.000\s±\s0\.000 0\.250 ", text
    )
    assert "a lower bound of log p(x), 2 noise draw(s) per image" in text
    assert "1,234" in text
    assert "has not been sampled yet" in text


def test_it_asks_for_nothing_from_outside(tmp_path, picture):
    parsed = Parser(page(tmp_path, summary(), picture, picture))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    images = [attrs for tag, attrs in parsed.tags if tag == "img"]
    assert len(images) == 2
    assert all(i["src"].startswith("data:image/png;base64,") and i["alt"] for i in images)
    assert all("href" not in attrs for _, attrs in parsed.tags)


def test_language_charset_and_phone(tmp_path, picture):
    tags = Parser(page(tmp_path, summary(), picture)).tags
    assert ("html", {"lang": "en"}) in tags
    assert ("meta", {"charset": "utf-8"}) in tags
    assert any(attrs.get("name") == "viewport" for _, attrs in tags)


def test_names_and_settings_are_escaped(tmp_path, picture):
    config = {"data": {EVIL: EVIL}, "seed": 3}
    content = page(tmp_path, summary(EVIL), picture, config=config)
    parsed = Parser(content)
    assert "script" not in {tag for tag, _ in parsed.tags}
    text = " ".join(parsed.text)
    assert f"data.{EVIL}" in text
    assert "seed 3" in text
    assert f"{EVIL}/test" in text


def test_braces_in_names_are_not_a_format(tmp_path, picture):
    assert "{0}" in page(tmp_path, summary("folder:/x/{0}"), picture)
