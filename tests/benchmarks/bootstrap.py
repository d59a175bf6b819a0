"""Seconds of bootstrap intervals: python -m tests.benchmarks.bootstrap [IMAGES...]

All metrics of as many own as foreign scores, without a model. Prints one JSON object, seconds by
the number of images of each of the two.
"""

import json
import sys
import time
from collections.abc import Sequence

import numpy as np

from tfp_ood.metrics import bootstrap


def seconds(num_images: int) -> float:
    """Of the figures of two sets of so many images, with their intervals."""
    rng = np.random.default_rng(0)
    sets = rng.normal(size=num_images), rng.normal(1.0, size=num_images)
    start = time.perf_counter()
    bootstrap.estimates(*sets)
    return round(time.perf_counter() - start, 2)


def main(sizes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)) -> None:
    """Measures and prints."""
    print(json.dumps({size: seconds(size) for size in sizes}, indent=1))


if __name__ == "__main__":
    main(*([[int(word) for word in sys.argv[1:]]] if sys.argv[1:] else []))
