"""Parts of a report page: one HTML file that holds its pictures and needs nothing from outside."""

import base64
import dataclasses
import html
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tfp_ood import atomic
from tfp_ood.options import flat
from tfp_ood.reporting.lettering import make_plain
from tfp_ood.reporting.shares import percent

_STYLE = """
body { color: #1a1a1a; background: #fff; font: 17px/1.5 system-ui, sans-serif;
  max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; border-top: 1px solid #999; padding-top: .6rem; }
.verdict { border-left: .4rem solid #0072b2; padding-left: 1rem; margin-left: 0; list-style: none; }
.verdict li { margin: .4rem 0; font-size: 1.1rem; }
.scroll { overflow-x: auto; margin-bottom: 1rem; position: relative; left: 50%;
  transform: translateX(-50%); width: fit-content; min-width: 100%; max-width: calc(100vw - 3rem); }
table { border-collapse: collapse; font-size: .95rem; }
caption { text-align: left; padding: .3rem 0; }
th, td { border-bottom: 1px solid #bbb; padding: .35rem .8rem .35rem 0; text-align: right;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; }
.apart tbody tr:last-child > * { border-top: 2px solid #555; background: #f0f4f8; }
.facts th, .facts td { text-align: left; }
.facts td { overflow-wrap: anywhere; min-width: 8em; }
.small { display: block; color: #555; font-size: .85em; font-weight: normal; white-space: nowrap; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.samples img, .paths img, .reconstructions img { image-rendering: pixelated; }
summary { cursor: pointer; padding: .3rem 0; }
@media print { body { font-size: 11pt; max-width: none; padding: 0; }
  figure, tr, li { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; position: static; transform: none; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{sections}
</main>
</body>
</html>
"""


class Html(str):
    """Text that is HTML already: `escape`, and with it every function here, leaves it as it is."""


DASH = Html("&ndash;")
"""In a cell that has no figure."""


@dataclasses.dataclass(frozen=True)
class ReportResult:
    """A page that was written."""

    path: pathlib.Path
    verdict: list[str]
    """The outcome in sentences."""


def write(
    report_dir: str | os.PathLike[str], title: str, verdict: list[str], sections: Sequence[str]
) -> ReportResult:
    """Writes REPORT_DIR/index.html, whole or not at all.

    Args:
      report_dir: folder; made if need be.
      title: as text.
      verdict: the outcome in sentences, which the page opens with.
      sections: HTML, of this module's functions.
    """
    path = pathlib.Path(report_dir) / "index.html"
    items = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in verdict)
    parts = [f'<ul class="verdict">\n{items}\n</ul>', *sections]
    text = _PAGE.format(title=escape(title), style=_STYLE, sections="\n".join(parts))
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return ReportResult(path, verdict)


def escape(value: Any) -> str:
    """The value as text that is safe inside HTML."""
    return value if isinstance(value, Html) else html.escape(str(value))


def section(heading: str, body: str) -> str:
    """A section with a heading, given as text, and a body of HTML."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>"


def picture(kind: str, path: str | os.PathLike[str], alt: str, caption: str) -> str:
    """A PNG inside the page, with words for those who do not see it; `kind` is its CSS class."""
    data = base64.b64encode(pathlib.Path(path).read_bytes()).decode("ascii")
    return (
        f'<figure class="{kind}">\n<img alt="{escape(alt)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def drawn(kind: str, figure: Figure, stem: pathlib.Path, alt: str, caption: str) -> str:
    """A drawn figure inside the page, and beside it as STEM.png and STEM.pdf; its texts plain."""
    make_plain(figure)
    for path in (png := stem.with_name(f"{stem.name}.png"), png.with_suffix(".pdf")):
        with atomic.replacing(path) as temporary:
            figure.savefig(temporary, dpi=160)
        figure.set_layout_engine("none")  # what the first found holds; finding it takes long
    return picture(kind, png, alt, caption)


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]], kind: str) -> str:
    """A table from cells of text or `Html`; the first cell of each row is its heading.

    Of `kind` "metrics", with " apart" if the last row is to stand apart; or "facts": names and what
    they are, often with an empty header.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in rest) + "</tr>"
        for first, *rest in (map(escape, row) for row in rows)
    )
    thead = f"<thead><tr>{head}</tr></thead>\n" if header else ""
    return (
        f'<div class="scroll"><table class="{kind}">\n<caption>{escape(caption)}</caption>\n'
        f"{thead}<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def config_section(config: Any) -> str:
    """The settings of a run, a typed config, as a section; nothing where they are not known."""
    if config is None:
        return ""
    keys = list(flat(dataclasses.asdict(config)))
    return section("Settings", table("The config of this run", [], keys, "facts"))


def folded(summary: str, body: str) -> str:
    """HTML that a click on the summary, given as text, unfolds."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{body}\n</details>"


def bullets(sentences: Sequence[str]) -> str:
    """Sentences as a list; "" if there are none."""
    items = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>\n{items}\n</ul>" if sentences else ""


def bold(value: str) -> Html:
    """A cell that stands out."""
    return Html(f"<b>{escape(value)}</b>")


def yes_or_no(is_so: bool) -> str:
    """A cell that says whether something came out as expected."""
    return "yes" if is_so else bold("no")


def with_small(value: str, words: str) -> Html:
    """A cell with a line in small type below its figure."""
    return Html(f'{escape(value)}<span class="small">{escape(words)}</span>')


def with_interval(metrics: Mapping[str, Any], name: str) -> Html:
    """A cell with a metric and, in small type, its interval: `NAME` and `NAME_interval`."""
    low, high = metrics[f"{name}_interval"]
    return with_small(f"{metrics[name]:.3f}", Html(f"{low:.3f}&ndash;{high:.3f}"))


def share(value: float, interval: Sequence[float]) -> Html:
    """A cell with a share in percent and, in small type, its interval."""
    low, high = (100 * end for end in interval)
    return with_small(percent(value, 1), Html(f"{low:.1f}&ndash;{high:.1f}"))
