from tfp_ood.reporting import html


def test_shares_lists_and_what_is_folded():
    made = html.share(0.0512, (0.04, 0.0666))
    assert made == '5.1 %<span class="small">4.0&ndash;6.7</span>'
    assert html.bullets([]) == "" and html.bullets(["<a>"]) == "<ul>\n<li>&lt;a&gt;</li>\n</ul>"
    assert html.folded("<b>", "<p></p>") == (
        "<details>\n<summary>&lt;b&gt;</summary>\n<p></p>\n</details>"
    )
    assert html.bold("<") == "<b>&lt;</b>"


def test_text_in_tables_is_escaped_and_html_is_left():
    metrics = {"auroc": 0.5, "auroc_interval": [0.25, 0.75]}
    rows = [["<i>", html.with_interval(metrics, "auroc"), html.with_small("a&b", "<c>"), 7]]
    made = html.table("<d>", ["<e>", html.DASH], rows, "facts")
    assert '<th scope="row">&lt;i&gt;</th><td>0.500<span class="small">0.250&ndash;0.750' in made
    assert 'a&amp;b<span class="small">&lt;c&gt;</span></td><td>7</td>' in made
    assert '&lt;e&gt;</th><th scope="col">&ndash;</th>' in made and "<d>" not in made
