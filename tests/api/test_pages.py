"""The API pages: made by the command in docs/python.md, whole, without a broken reference."""

import html.parser
import pathlib
import re
import shlex
import warnings

import pdoc
import pytest

import tfp_ood

ROOT = pathlib.Path(__file__).parents[2]


class Page(html.parser.HTMLParser):
    """Links, anchors, and what stands in code without a link, of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.code, self._open = [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("a", "code", "pre", "svg"):
            self._open.append(tag)
        self.anchors.add(given.get("id"))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])

    def handle_endtag(self, tag):
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data):
        if "code" in self._open and not {"a", "pre"} & set(self._open):
            self.code.append(data)


@pytest.fixture(scope="module", name="pages")
def _pages(tmp_path_factory):
    """File name -> page."""
    (line,) = re.findall(r"pdoc (tfp_ood .*) -o site", (ROOT / "docs" / "python.md").read_text())
    folder = tmp_path_factory.mktemp("site")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("error", UserWarning)  # what pdoc could not document
        warnings.simplefilter("error", RuntimeWarning)
        pdoc.pdoc(*shlex.split(line), output_directory=folder)
    files = folder.rglob("*.html")
    return {path.relative_to(folder).as_posix(): Page(path.read_text()) for path in files}


def test_every_public_name_is_there(pages):
    for name in tfp_ood.__all__:
        assert name in pages["tfp_ood.html"].anchors


def test_links_lead_somewhere(pages):
    count = 0
    for name, page in pages.items():
        for link in (one for one in page.links if not re.match(r"https?:", one)):
            path, _, anchor = link.partition("#")
            target = (pathlib.PurePosixPath(name).parent / path).as_posix() if path else name
            parts = []
            for part in target.split("/"):
                parts = parts[:-1] if part == ".." else [*parts, part]
            assert "/".join(parts) in pages, (name, link)
            assert not anchor or anchor in pages["/".join(parts)].anchors, (name, link)
            count += 1
    assert count > 50


def test_names_of_the_package_in_docstrings_are_links(pages):
    for name, page in pages.items():
        assert not [one for one in page.code if one.startswith("tfp_ood.")], name
