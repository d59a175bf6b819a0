"""Texts of figures mean themselves, whatever the names in them."""

import warnings

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.nasty import ALL, NASTY
from tfp_ood.reporting import figures, html, lettering, names

WATCH, CHINESE = "\u231a", "\u7167\u7247"
"""In a font that comes with matplotlib, but not in its first one; in none of its fonts."""


@pytest.fixture(name="few_fonts")
def _few_fonts(monkeypatch):
    """A machine with matplotlib's own fonts alone."""
    own = [one for one in font_manager.fontManager.ttflist if "mpl-data" in one.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    lettering._fonts_for.cache_clear()
    yield
    lettering._fonts_for.cache_clear()


def figure_of(labels):
    """A figure with texts in every place where ours have some."""
    figure, (axes,) = figures.panels(16, 16)
    for label in labels:
        axes.plot([0, 1], [0, 1], label=label)
        axes.text(0.5, 0.5, label)
    axes.set_title(labels[0])
    axes.set_xlabel(labels[-1])
    axes.set_xticks(range(len(labels)), labels, rotation=40)
    axes.set_yticks(range(len(labels)), labels)
    figures.add_legend(figure)
    return figure


def texts(figure):
    """What a figure that was drawn says, where `figure_of` put labels."""
    (axes,), (legend,) = figure.axes, figure.legends
    places = axes.get_xticklabels(), axes.get_yticklabels(), axes.texts, legend.get_texts()
    shown = [[text.get_text() for text in place] for place in places]
    return shown, [axes.get_title(), axes.get_xlabel()]


def test_any_name_is_plain_text_in_every_place(few_fonts, tmp_path):
    labels = names.labels([(f"folder:/x/{name}", "all") for name in (*NASTY.values(), ALL)])
    figure = figure_of(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = html.drawn("k", figure, tmp_path / "a", labels[0], labels[-1])
    expected = [label.replace(CHINESE, r"\u7167\u7247") for label in labels]
    assert texts(figure) == ([expected] * 4, [expected[0], expected[-1]])
    assert html.escape(labels[0]) in page and "\n" not in "".join(labels)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.pdf"}


def test_mathematics_is_shown_as_it_is_written():
    """As wide as its letters are: `$x^2$` as mathematics has fewer."""
    widths = []
    for label in ("$x^2$", "ax^2a"):
        figure = Figure()
        text = figure.text(0, 0, label, family="DejaVu Sans Mono")
        lettering.make_plain(figure)
        widths.append(text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width)
    assert widths[0] == pytest.approx(widths[1], rel=0.02)


def test_a_font_that_has_the_letters_is_used(few_fonts, tmp_path):
    assert lettering._fonts_for(frozenset(WATCH + CHINESE)) == (
        ("STIXGeneral",),
        frozenset(CHINESE),
    )
    drawn = []
    for letter in (WATCH, " "):
        figure = Figure(figsize=(1, 1))
        figure.text(0.3, 0.3, letter, fontsize=30)
        html.drawn("k", figure, tmp_path / "a", "", "")
        drawn.append(imread(tmp_path / "a.png"))
    assert np.any(drawn[0] < 1) and np.all(drawn[1] == 1)


def test_texts_in_a_usual_font_look_as_before():
    figure = figure_of(["a (b), 5 %"])
    before = [text.get_fontfamily() for text in figure.axes[0].texts]
    lettering.make_plain(figure)
    assert [text.get_fontfamily() for text in figure.axes[0].texts] == before


def test_fonts_that_cannot_be_read_are_passed_over(few_fonts, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"x")
    assert lettering._shown(str(broken), "a") == lettering._shown(str(tmp_path / "no.ttf"), "a")
    assert lettering._shown(str(broken), "a") == frozenset()
