import matplotlib.image
import numpy as np
import pytest

from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import figures

RNG = np.random.default_rng(0)


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


def small(path, columns, width):
    """The picture with a pixel for each pixel of its images."""
    pixels = np.round(matplotlib.image.imread(path)[..., :1] * 255).astype(int)
    scale = 640 // (columns * (width + 1) - 1)
    return pixels[::scale, ::scale]


def test_each_path_is_a_row(tmp_path):
    images = RNG.integers(0, 256, (2, 3, 4, 6, 5, 1), np.uint8)
    figures.image_rows(images, tmp_path / "a.png")
    pixels = small(tmp_path / "a.png", 4, 5)
    assert pixels.shape == (2 * 3 * 7 - 1, 4 * 6 - 1, 1)
    for row in range(6):
        for step in range(4):
            shown = pixels[7 * row : 7 * row + 6, 6 * step : 6 * step + 5]
            np.testing.assert_array_equal(shown, images[row // 3, row % 3, step])


def test_each_temperature_is_a_row(tmp_path):
    images = RNG.integers(0, 256, (3, 4, 6, 5, 1), np.uint8)
    figures.image_rows(images, tmp_path / "a.png")
    pixels = small(tmp_path / "a.png", 4, 5)
    np.testing.assert_array_equal(pixels[14:20, 6:11], images[2, 1])


@pytest.mark.parametrize("shape", [(2, 2), (2, 3, 4, 1), (2, 3, 4, 4, 2)])
def test_rows_of_other_arrays_are_refused(shape, tmp_path):
    with pytest.raises(EvaluationError, match="must be uint8 "):
        figures.image_rows(np.zeros(shape, np.uint8), tmp_path / "a.png")
