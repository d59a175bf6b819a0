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
