"""What draws the cost of scoring, without models."""

import types

import matplotlib.image
import numpy as np
import pytest

from tests.benchmarks import scaling


def _scorer(num_parameters, count):
    model = types.SimpleNamespace(num_parameters=lambda: num_parameters)
    return scaling.Scorer(model, np.zeros([count, 1]))


def _rows(cost):
    scorers = {
        ("glow", 32): _scorer(1000, 8),
        ("vae", 32): _scorer(10, 4),
        ("glow", 64): _scorer(2000, 2),
    }
    return scaling.measure(scorers, lambda given: dict(zip(given, cost, strict=True)))


def test_a_row_is_the_time_of_one_image():
    glow, vae, larger = _rows([8.0, 1.0, 2.0])
    assert glow == {
        "of": "glow",
        "number": 32,
        "num_parameters": 1000,
        "batch": 8,
        "milliseconds": 1000.0,
    }
    assert (vae["milliseconds"], larger["milliseconds"]) == (250.0, 1000.0)


@pytest.mark.parametrize(("along", "slope"), [(scaling.pixels, 1.0), (scaling.weights, 2.0)])
def test_slopes_tell_linear_from_square(along, slope):
    assert scaling.exponents(_rows([8.0, 1.0, 8.0]), along) == {"glow": slope}


def test_both_are_drawn(tmp_path):
    rows = _rows([8.0, 1.0, 8.0])
    scaling.draw(rows, [row for row in rows if row["of"] == "glow"], tmp_path / "cost.png")
    image = matplotlib.image.imread(tmp_path / "cost.png")
    assert image.shape[:2] == (400, 900) and image.std() > 0.05


def test_glows_have_one_to_eight_million_weights():
    """By hand: of 3 levels with C channels, 8 steps of C^2 + 2 C and a network."""
    text = scaling.__doc__.partition("--hidden=")[2].split()[0]
    for hidden, millions in zip(map(int, text.split(",")), (1, 2, 4, 8), strict=True):
        config = scaling.of_models(hidden).model
        total = sum(
            config.num_steps * (9 * c // 2 * hidden + hidden**2 + 9 * hidden * c + c * c + 4 * c)
            for c in (12, 24, 48)
        )
        assert config.num_levels == 3
        assert total == pytest.approx(millions * 1e6, rel=0.05)
