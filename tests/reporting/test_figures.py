import matplotlib.image
import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import figures
from tfp_ood.reporting.summary import summarize

RNG = np.random.default_rng(0)
OWN = table(RNG.normal(2.9, 0.6, 2000), "fashion_mnist")
MNIST = table(RNG.normal(1.8, 0.3, 500), "mnist")
NOISE = table(RNG.normal(30, 0.1, 100), "noise", "all")


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


def draw(tmp_path, tables):
    paths = [tmp_path / "a.png", tmp_path / "a.pdf"]
    figures.likelihood_histogram(tables, summarize(tables[0], tables[1:]), paths)
    return paths


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_files_are_what_their_names_say(tmp_path):
    png, pdf = draw(tmp_path, [OWN, MNIST])
    assert matplotlib.image.imread(png).shape[1] >= 1000
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(tmp_path.iterdir()) == [pdf, png]


def test_legend_axes_and_areas(tmp_path, drawn):
    draw(tmp_path, [OWN, MNIST])
    (axes,) = drawn[0].axes
    own, mnist = legend(drawn[0])
    assert own.startswith("FashionMNIST (in-distribution), n = 2,000")
    auroc = summarize(OWN, [MNIST])["datasets"]["mnist/test"]["scores"]["log_prob"]["auroc"]
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


def test_a_set_far_away_does_not_stretch_the_axis_and_is_told(tmp_path, drawn):
    draw(tmp_path, [OWN, MNIST])
    draw(tmp_path, [OWN, MNIST, NOISE])
    assert drawn[0].axes[0].get_xlim() == drawn[1].axes[0].get_xlim()
    assert "all off the axis to the left, mean -2" in legend(drawn[1])[2]
    assert len(drawn[1].axes[0].lines) == 2  # the mean that is off the axis is not marked


def test_images_off_the_axis_count_in_the_density(tmp_path, drawn):
    half = table(np.concatenate([np.full(50, 3.0), np.full(50, 30.0)]), "mnist")
    draw(tmp_path, [OWN, half])
    values, edges, _ = drawn[0].axes[0].patches[1].get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(0.5)
    assert "50.00% off the axis" in legend(drawn[0])[1]


def test_a_set_of_one_value(tmp_path, drawn):
    draw(tmp_path, [table([2.0, 2.0], "fashion_mnist"), table([2.0], "mnist")])
    low, high = drawn[0].axes[0].get_xlim()
    assert low < high


def test_grid_keeps_every_pixel(tmp_path):
    images = RNG.integers(0, 256, (5, 4, 3, 3), np.uint8)
    figures.sample_grid(images, tmp_path / "a.png")
    pixels = np.round(matplotlib.image.imread(tmp_path / "a.png")[..., :3] * 255).astype(int)
    scale = 640 // 11  # 3 columns of 3 pixels, 2 gaps
    assert pixels.shape == (9 * scale, 11 * scale, 3)
    small = pixels[::scale, ::scale]
    np.testing.assert_array_equal(small.repeat(scale, 0).repeat(scale, 1), pixels)
    np.testing.assert_array_equal(small[5:9, 4:7], images[4])
    np.testing.assert_array_equal(small[0:4, 8:11], images[2])
    assert np.all(small[5:9, 8:11] == 255)


def test_reconstructions_lie_below_their_originals(tmp_path):
    pairs = RNG.integers(0, 256, (2, 2, 3, 4, 5, 1), np.uint8)
    figures.reconstruction_grid(pairs, tmp_path / "a.png")
    pixels = np.round(matplotlib.image.imread(tmp_path / "a.png")[..., :1] * 255).astype(int)
    scale = 640 // 17  # 3 columns of 5 pixels, 2 gaps
    small = pixels[::scale, ::scale]
    assert small.shape == (19, 17, 1)
    for row in range(4):
        np.testing.assert_array_equal(
            small[5 * row : 5 * row + 4, 6:11], pairs[row // 2, row % 2, 1]
        )


def test_gray_images_stay_gray(tmp_path):
    figures.sample_grid(np.full((1, 2, 2, 1), 7, np.uint8), tmp_path / "a.png")
    pixels = np.round(matplotlib.image.imread(tmp_path / "a.png")[..., :3] * 255)
    assert np.all(pixels == 7)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 4, 4, 1)), np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4, 4, 1), np.uint8),
     np.zeros((2, 4, 4, 2), np.uint8)],
    ids=["float", "one image", "none", "two channels"],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path, images):
    with pytest.raises(EvaluationError, match="uint8"):
        figures.sample_grid(images, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
