"""Images drawn from the model."""

from tfp_ood.reporting import figures, html
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section:
    """The grid of samples, and rows of them at several temperatures; where there are none, the
    page says how to make some.

    Raises:
      EvaluationError: the samples are damaged.
    """
    places, label = evidence.workdir, evidence.in_set.label
    path = evidence.sampled("samples", places.sample_images, figures.sample_grid)
    if path is None:
        words = "<p>This model has not been sampled yet; --mode=sample does it.</p>"
        return Section(html.section("Samples", words))
    alt = f"A grid of images drawn from the model of {label}"
    caption = (
        f"Drawn from the model at temperature {evidence.of_samples('temperature', float):g}: what "
        "it takes for its own kind."
    )
    body = html.picture("samples", path, alt, caption)
    path = evidence.sampled("samples", places.temperatures, figures.image_rows, "temperatures")
    if path is not None:
        values = ", ".join(f"{one:g}" for one in evidence.of_samples("temperatures", list))
        alt = f"Rows of images drawn from the model of {label} at several temperatures"
        caption = (
            f"The same draws at temperatures {values}, from the top: at lower ones every number "
            "that is drawn is nearer to the likeliest."
        )
        body += html.picture("samples", path, alt, caption)
    return Section(html.section("Samples", body))
