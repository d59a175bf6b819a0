import matplotlib.image
import numpy as np

from tfp_ood.reporting import figures

RNG = np.random.default_rng(0)


def test_reconstructions_lie_below_their_originals(tmp_path):
    pairs = RNG.integers(0, 256, (2, 2, 3, 4, 5, 1), np.uint8)
    figures.image_rows(pairs, tmp_path / "a.png")
    pixels = np.round(matplotlib.image.imread(tmp_path / "a.png")[..., :1] * 255).astype(int)
    scale = 640 // 17  # 3 columns of 5 pixels, 2 gaps
    small = pixels[::scale, ::scale]
    assert small.shape == (19, 17, 1)
    for row in range(4):
        np.testing.assert_array_equal(
            small[5 * row : 5 * row + 4, 6:11], pairs[row // 2, row % 2, 1]
        )
