"""Images of every set beside what a model with a latent vector makes of them."""

import os

import numpy as np

from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import figures, html, names
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The grid of pairs; None for models that cannot reconstruct.

    Raises:
      EvaluationError: the reconstructions are damaged.
    """
    path, source = evidence.workdir.report / "reconstructions.png", evidence.workdir.reconstructions
    if not evidence.samples_are_current or not figures.image_file(source, draw, path):
        return None
    sets = [(name, "test") for name in evidence.of_samples("reconstructed", list)]
    labels = ", ".join(names.labels(sets))
    caption = (
        f"From the top, two rows each: {labels}. The upper row are images of the set, "
        "the lower what the model makes of them through its latent."
    )
    alt = f"Images of {labels} and their reconstructions"
    figure = html.picture("reconstructions", path, alt, caption)
    return Section(html.section("Reconstructions", figure))


def draw(pairs: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Draws two rows of images for every set: originals, and below them what a model makes.

    Args:
      pairs: uint8 [sets, 2, N, H, W, C].
      path: file to make, a PNG.

    Raises:
      EvaluationError: the array is something else.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 6 or pairs.shape[1] != 2:
        raise EvaluationError(
            f"Reconstructions must be uint8 [sets, 2, N, H, W, C]; got {list(pairs.shape)}."
        )
    figures.sample_grid(pairs.reshape(-1, *pairs.shape[3:]), path, columns=pairs.shape[2])
