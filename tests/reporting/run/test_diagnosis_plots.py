import numpy as np
import pytest

from tests.evaluation.fakes import table
from tests.reporting.run.test_diagnosis import GRAY, MNIST, OWN, kept
from tfp_ood.reporting.run import diagnosis_plots


@pytest.fixture(name="figures")
def _figures(monkeypatch):
    """The figures that are drawn, to be looked into."""
    drawn = []

    class Spy(diagnosis_plots.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(diagnosis_plots, "Figure", Spy)
    return drawn


def test_a_curve_that_is_above_the_diagonal_for_a_good_detector(tmp_path, figures):
    own, far = table(np.linspace(2, 3, 50)), table(np.linspace(4, 5, 20), "noise", "all")
    diagnosis_plots.roc_curves([own, far], ["noise"], [tmp_path / "a.png"])
    coin, curve = figures[0].axes[0].lines
    assert coin.get_label() == "a coin" and curve.get_label() == "noise"
    assert (0.0, 1.0) in set(map(tuple, curve.get_xydata()))


def test_extreme_images_keep_every_pixel(tmp_path, figures):
    tables, extremes = [OWN, MNIST], [kept(OWN, 1.0), kept(MNIST, 1.0)]
    diagnosis_plots.extreme_images(tables, extremes, ["own", "MNIST"], [tmp_path / "a.png"])
    assert len(figures[0].axes) == 4
    (strip,) = figures[0].axes[3].images
    pixels = np.asarray(strip.get_array())
    np.testing.assert_array_equal(pixels[1:3, 1:3], extremes[1].extremes[1, 0])
    np.testing.assert_array_equal(pixels[1:3, 28:30], extremes[1].extremes[1, 9])
    assert figures[0].axes[3].get_title(loc="left").startswith("MNIST, unlikeliest: ")


def test_a_set_of_one_image(tmp_path, figures):
    one = table([2.0])
    diagnosis_plots.extreme_images([one], [kept(one, 1.0)], ["one"], [tmp_path / "a.png"])
    (strip,) = figures[0].axes[0].images
    assert np.all(np.asarray(strip.get_array())[:, 5:] == 255)


def test_both_terms_share_the_sets_colours(tmp_path, figures):
    diagnosis_plots.decomposition([OWN, MNIST], ["own", "MNIST"], [tmp_path / "a.png"])
    latent, volume = figures[0].axes
    for axes in (latent, volume):
        own, foreign = axes.patches
        assert own.get_fill() and not foreign.get_fill()
    assert "log p(z)" in latent.get_xlabel() and "det" in volume.get_xlabel()


def test_likelier_is_up_in_the_scatter(tmp_path, figures):
    diagnosis_plots.complexity([OWN, MNIST], ["own", "MNIST"], [tmp_path / "a.png"])
    low, high = figures[0].axes[0].get_ylim()
    assert low > high


def test_gray_levels_from_black_to_white(tmp_path, figures):
    diagnosis_plots.gray_levels(GRAY, OWN, "own", [tmp_path / "a.png"])
    (line,) = figures[0].axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(256))
