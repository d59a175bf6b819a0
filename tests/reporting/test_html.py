from tfp_ood.reporting import html


def test_text_in_tables_is_escaped_and_html_is_left():
    metrics = {"auroc": 0.5, "auroc_interval": [0.25, 0.75]}
    rows = [["<i>", html.with_interval(metrics, "auroc"), html.with_small("a&b", "<c>"), 7]]
    made = html.table("<d>", ["<e>", html.DASH], rows, "facts")
    assert '<th scope="row">&lt;i&gt;</th><td>0.500<span class="small">0.250&ndash;0.750' in made
    assert 'a&amp;b<span class="small">&lt;c&gt;</span></td><td>7</td>' in made
    assert '&lt;e&gt;</th><th scope="col">&ndash;</th>' in made and "<d>" not in made
