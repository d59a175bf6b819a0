"""From one image to another through the latents of the model."""

from tfp_ood.reporting import figures, html, names
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The rows of every set; None for models without latents.

    Raises:
      EvaluationError: the images are damaged.
    """
    path = evidence.sampled("paths", evidence.workdir.paths, figures.image_rows)
    if path is None:
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
