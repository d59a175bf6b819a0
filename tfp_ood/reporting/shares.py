"""Shares and rates in words: "97 %"."""

from collections.abc import Sequence


def percent(share: float, digits: int = 0) -> str:
    """A share that was measured, such as "97 %"; of one that is not 0 at least one digit."""
    shown = f"{100 * share:.{digits}f}"
    return f"{shown} %" if float(shown) or not share else f"{100 * share:.2g} %"


def rate(value: float) -> str:
    """A rate that was asked for, with all of its digits: "5 %", "0.75 %"."""
    return f"{100 * value:.10g} %"


def between(interval: Sequence[float]) -> str:
    """An interval of a share, such as "3.2 to 5.1 %"."""
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"
