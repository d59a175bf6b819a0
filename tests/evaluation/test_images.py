import io

import numpy as np
from PIL import Image

from tests.evaluation.fakes import NUM_DIMS, batches, fake_split, metadata
from tfp_ood.evaluation import images, likelihood, tables


def test_png_bytes_are_the_sizes_of_files_that_hold_the_images():
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        given = rng.integers(0, 256, (5, 12, 10, channels)).astype(np.uint8)
        given[0] = 7
        sizes = images.png_bytes(given)
        assert sizes.dtype == np.int64 and sizes.shape == (5,)
        file = io.BytesIO()
        Image.fromarray(given[1].squeeze()).save(file, "PNG", compress_level=9)
        assert sizes[1] == len(file.getvalue())
        assert sizes[0] < sizes[1]  # one gray level against noise
        assert np.all(sizes[1:] > given[1].size)


def test_extremes_are_those_of_all_batches():
    rng = np.random.default_rng(0)
    log_prob = rng.permutation(100).astype(float)
    pixels = np.broadcast_to(log_prob[:, None, None, None], (100, 2, 2, 1)).astype(np.uint8)
    extremes = images.Extremes()
    for part in np.split(np.arange(100), [3, 40, 41]):
        extremes.see(pixels[part], log_prob[part])
    count = images.NUM_EXTREMES
    np.testing.assert_array_equal(extremes.lowest[:, 0, 0, 0], np.arange(count))
    np.testing.assert_array_equal(extremes.highest[:, 0, 0, 0], 99 - np.arange(count))


def test_extremes_are_left_beside_the_table_also_of_few_images(tmp_path):
    path, split = tmp_path / "a.parquet", fake_split(num_images=6)
    likelihood.write_score_table(
        path,
        lambda image: {"log_prob": -image[:, 0, 0, 0].astype(np.float32)},
        split,
        batches(6),
        NUM_DIMS,
        metadata(split),
        progress=False,
    )
    lowest, highest = np.load(images.extremes_path(path))
    np.testing.assert_array_equal(lowest[:, 0, 0, 0], [5, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(highest[:, 0, 0, 0], [0, 1, 2, 3, 4, 5])
    assert tables.is_current(path, metadata(split))
    images.extremes_path(path).unlink()
    assert not tables.is_current(path, metadata(split))
