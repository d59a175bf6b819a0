"""The figures of the sections, looked into."""

import numpy as np

from tests.evaluation.fakes import judged, table
from tests.reporting.run.evidence import GRAY, MNIST, OWN, kept
from tfp_ood.detectors.likelihood import Likelihood
from tfp_ood.reporting.run.sections import complexity, extremes, gray_levels, roc, terms


def test_a_curve_that_is_above_the_diagonal_for_a_good_detector():
    own, far = table(np.linspace(2, 3, 50)), table(np.linspace(4, 5, 20), "noise", "all")
    figure = roc.draw({"log_prob": Likelihood()}, judged([own, far]))
    coin, curve = figure.axes[0].lines
    assert coin.get_label() == "a coin"
    assert curve.get_label() == "noise, likelihood: 1.000 (1.000 to 1.000)"
    assert (0.0, 1.0) in set(map(tuple, curve.get_xydata()))


def test_extreme_images_keep_every_pixel():
    images = [kept(OWN, 1.0), kept(MNIST, 1.0)]
    figure = extremes.draw(judged([OWN, MNIST], images))
    assert len(figure.axes) == 4
    (strip,) = figure.axes[3].images
    pixels = np.asarray(strip.get_array())
    np.testing.assert_array_equal(pixels[1:3, 1:3], images[1].extremes[1, 0])
    np.testing.assert_array_equal(pixels[1:3, 28:30], images[1].extremes[1, 9])
    assert figure.axes[3].get_title(loc="left").startswith("MNIST, unlikeliest: ")


def test_a_set_of_one_image():
    one = table([2.0])
    figure = extremes.draw(judged([one], [kept(one, 1.0)]))
    (strip,) = figure.axes[0].images
    assert np.all(np.asarray(strip.get_array())[:, 5:] == 255)


def test_both_terms_share_the_sets_colours():
    figure = terms.draw(judged([OWN, MNIST]))
    latent, volume = figure.axes
    for axes in (latent, volume):
        own, foreign = axes.patches
        assert own.get_fill() and not foreign.get_fill()
    assert "log p(z)" in latent.get_xlabel() and "det" in volume.get_xlabel()


def test_likelier_is_up_in_the_scatter():
    figure = complexity.draw(judged([OWN, MNIST]))
    low, high = figure.axes[0].get_ylim()
    assert low > high


def test_gray_levels_from_black_to_white():
    figure = gray_levels.draw(GRAY, judged([OWN])[0])
    (line,) = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(256))
