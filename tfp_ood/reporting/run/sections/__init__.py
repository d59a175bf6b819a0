"""The sections of a run's page, one file each: numbers, figure and words of one explanation.

A section is a function `section(evidence) -> Section | None`; None leaves it out. May import what
is directly in `reporting/`, score tables, metrics and detectors; no other section.

A new section is a file here and a line in `SECTIONS`.
"""

from collections.abc import Callable

from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.run.sections import (
    complexity,
    contrast,
    detection,
    extremes,
    gray_levels,
    heat_map,
    how_to_read,
    likelihoods,
    mistakes,
    model,
    paths,
    preparation,
    reconstructions,
    roc,
    samples,
    second_order,
    settings,
    terms,
    trajectory,
)

SECTIONS: dict[str, Callable[[Evidence], Section | None]] = {
    "likelihoods": likelihoods.section,
    "detection": detection.section,
    "heat_map": heat_map.section,
    "roc": roc.section,
    "mistakes": mistakes.section,
    "how_to_read": how_to_read.section,
    "extremes": extremes.section,
    "trajectory": trajectory.section,
    "terms": terms.section,
    "second_order": second_order.section,
    "contrast": contrast.section,
    "gray_levels": gray_levels.section,
    "complexity": complexity.section,
    "samples": samples.section,
    "paths": paths.section,
    "reconstructions": reconstructions.section,
    "model": model.section,
    "preparation": preparation.section,
    "settings": settings.section,
}
"""Name of a section, of its figures and of its numbers -> function, in the order of the page."""
