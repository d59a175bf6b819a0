"""Images drawn from the model."""

from tfp_ood.reporting import figures, html
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section:
    """The grid of samples; where there are none, the page says how to make some.

    Raises:
      EvaluationError: the samples are damaged.
    """
    path = evidence.workdir.report / "samples.png"
    if evidence.samples_are_current and figures.image_file(
        evidence.workdir.sample_images, figures.sample_grid, path
    ):
        alt = f"A grid of images drawn from the model of {evidence.in_set.label}"
        caption = "Drawn from the model: what it takes for its own kind."
        body = html.picture("samples", path, alt, caption)
    else:
        body = "<p>This model has not been sampled yet; --mode=sample does it.</p>"
    return Section(html.section("Samples", body))
