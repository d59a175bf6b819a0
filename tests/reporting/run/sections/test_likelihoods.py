import matplotlib.image
import numpy as np
import pytest

from tests.evaluation.fakes import judged, table
from tfp_ood.reporting import html
from tfp_ood.reporting.run.sections import likelihoods
from tfp_ood.reporting.summary import summarize

RNG = np.random.default_rng(0)
OWN = table(RNG.normal(2.9, 0.6, 2000), "fashion_mnist")
MNIST = table(RNG.normal(1.8, 0.3, 500), "mnist")
NOISE = table(RNG.normal(30, 0.1, 100), "noise", "all")


def draw(tmp_path, tables):
    figure = likelihoods.draw(judged(tables))
    html.drawn("likelihoods", figure, tmp_path / "a", "", "")
    return figure


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_files_are_what_their_names_say(tmp_path):
    draw(tmp_path, [OWN, MNIST])
    png, pdf = tmp_path / "a.png", tmp_path / "a.pdf"
    assert matplotlib.image.imread(png).shape[1] >= 1000
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(tmp_path.iterdir()) == [pdf, png]


def test_legend_axes_and_areas(tmp_path):
    figure = draw(tmp_path, [OWN, MNIST])
    (axes,) = figure.axes
    own, mnist = legend(figure)
    assert own.startswith("FashionMNIST (in-distribution), n = 2,000")
    auroc = summarize(OWN, [MNIST]).datasets["mnist/test"].scores["log_prob"]["auroc"]
    assert mnist.startswith(f"MNIST, AUROC {auroc:.2f}, n = 500")
    assert "nats per image" in axes.get_xlabel()
    (upper,) = axes.child_axes
    low, high = axes.get_xlim()
    nats_per_bit = 12 * np.log(2)
    expected = [-high / nats_per_bit, -low / nats_per_bit]
    np.testing.assert_allclose(sorted(upper.get_xlim()), expected, rtol=1e-3)
    for patch in axes.patches:
        values, edges, _ = patch.get_data()
        assert 0.97 < np.sum(values * np.diff(edges)) <= 1 + 1e-9
    own_patch, foreign_patch = axes.patches
    assert own_patch.get_fill()
    assert not foreign_patch.get_fill()
    np.testing.assert_array_equal(own_patch.get_data().edges, foreign_patch.get_data().edges)


def test_a_set_far_away_does_not_stretch_the_axis_and_is_told(tmp_path):
    near = draw(tmp_path, [OWN, MNIST])
    far = draw(tmp_path, [OWN, MNIST, NOISE])
    assert near.axes[0].get_xlim() == far.axes[0].get_xlim()
    assert "all off the axis to the left, mean -2" in legend(far)[2]
    assert len(far.axes[0].lines) == 2  # the mean that is off the axis is not marked


def test_images_off_the_axis_count_in_the_density(tmp_path):
    half = table(np.concatenate([np.full(50, 3.0), np.full(50, 30.0)]), "mnist")
    figure = draw(tmp_path, [OWN, half])
    values, edges, _ = figure.axes[0].patches[1].get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(0.5)
    assert "50.00% off the axis" in legend(figure)[1]


def test_a_set_of_one_value(tmp_path):
    figure = draw(tmp_path, [table([2.0, 2.0], "fashion_mnist"), table([2.0], "mnist")])
    low, high = figure.axes[0].get_xlim()
    assert low < high
