"""Pages, as a browser reads them."""

import html.parser

DASH = "\u2013"
"""Between the ends of an interval."""
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
