"""Shares and rates in words."""

import pytest

from tfp_ood.reporting.shares import between, percent, rate


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [(0.05, 0, "5 %"), (0.0512, 1, "5.1 %"), (0.001, 0, "0.1 %"), (0.0, 0, "0 %"), (1, 0, "100 %")],
)
def test_percents(share, digits, words):
    assert percent(share, digits) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.05, "5 %"), (0.0075, "0.75 %"), (0.025, "2.5 %"), (0.07, "7 %"), (1e-6, "0.0001 %")],
)
def test_a_rate_that_was_asked_for_has_all_its_digits(value, words):
    assert rate(value) == words


def test_intervals():
    assert between((0.0, 0.05123)) == "0.0 to 5.1 %"
