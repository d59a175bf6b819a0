"""Images of every set beside what a model with a latent vector makes of them."""

from tfp_ood.reporting import figures, html, names
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """The grid of pairs; None for models that cannot reconstruct.

    Raises:
      EvaluationError: the reconstructions are damaged.
    """
    path = evidence.sampled("reconstructions", evidence.workdir.reconstructions, figures.image_rows)
    if path is None:
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
