"""What the length of images under the code costs: python -m tests.benchmarks.code_length

Processor time of an image, in microseconds, by TensorFlow's operations (as an export has them) and
by compiled loops (as tables of many images are made), for images of several sizes that compress
about as photographs do. Prints one JSON object.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.benchmarks.scale import bank
from tfp_ood import devices
from tfp_ood.evaluation import code_length
from tfp_ood.evaluation.code_length import in_graph

_SHAPES = ((28, 28, 1), (32, 32, 3), (64, 64, 3), (128, 128, 3))
_VALUES, _ROUNDS = 2**20, 5


def pictures(shape: tuple[int, int, int]) -> np.ndarray:
    """About a million pixel values: tiles of `scale.bank`."""
    height, width, colours = shape
    count = _VALUES // (height * width * colours)
    tiles = bank()[:, :, :, :colours]
    across = -(-max(height, width) // tiles.shape[1])
    numbers = np.arange(count * across**2) % len(tiles)
    rows = tiles[numbers].reshape(count, across, across, *tiles.shape[1:])
    whole = rows.transpose(0, 1, 3, 2, 4, 5).reshape(count, across * 32, across * 32, colours)
    return np.ascontiguousarray(whole[:, :height, :width])


def microseconds(measure: Callable[[], object], num_images: int) -> float:
    """Processor time of an image, the median of some rounds."""
    measure()
    found = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        measure()
        found.append(1e6 * (time.process_time() - start) / num_images)
    return round(float(np.median(found)), 1)


def main() -> None:
    """Measures all and prints."""
    devices.share_cores()
    found = {}
    for shape in _SHAPES:
        images = pictures(shape)
        by_graph = tf.function(
            in_graph.code_bits, [tf.TensorSpec([None, *shape], tf.uint8)], autograph=False
        )
        ways = {
            "graph": lambda images=images, score=by_graph: score(images).numpy(),
            "loops": lambda images=images: code_length.code_bits(images),
        }
        found["x".join(map(str, shape))] = {
            name: microseconds(measure, len(images)) for name, measure in ways.items()
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
