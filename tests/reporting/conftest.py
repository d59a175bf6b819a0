"""What tests of pages share."""

import pytest

from tfp_ood.reporting import figures


@pytest.fixture(name="drawn")
def _drawn(monkeypatch):
    """The figures that are drawn, to be looked into."""
    drawn = []

    class Spy(figures.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(figures, "Figure", Spy)
    return drawn
