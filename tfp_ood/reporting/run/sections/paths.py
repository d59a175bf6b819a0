"""From one image to another through the latents of the model."""

import os

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import figures, html, names
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The rows of every set; None for models without latents.

    Raises:
      EvaluationError: the images are damaged.
    """
    path, source = evidence.workdir.report / "paths.png", evidence.workdir.paths
    if not evidence.samples_are_current or not figures.image_file(source, draw, path):
        return None
    number = evidence.of_samples("num_paths", int)
    sets = [(name, "test") for name in evidence.of_samples("paths", list)]
    labels = ", ".join(names.labels(sets))
    caption = (
        f"From the top, {number} each: {labels}. A row leads from one test image to the next by "
        "equal steps between their latents. The ends of a flow's are the images "
        "themselves, of foreign sets too: it has a latent for every image."
    )
    alt = f"Rows of images between test images of {labels}"
    figure = html.picture("paths", path, alt, caption)
    return Section(html.section("Paths through the latent space", figure))


def draw(paths: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Draws a row of images for every path.

    Args:
      paths: uint8 [sets, paths, steps, H, W, C].
      path: file to make, a PNG.

    Raises:
      EvaluationError: the array is something else.
    """
    paths = np.asarray(paths)
    if paths.ndim != 6:
        raise EvaluationError(
            f"Paths must be uint8 [sets, paths, steps, H, W, C]; got {list(paths.shape)}."
        )
    figures.sample_grid(paths.reshape(-1, *paths.shape[3:]), path, columns=paths.shape[2])
