"""What was done to the images of every set before the model saw them."""

from collections.abc import Sequence

from tfp_ood.reporting import html, left_out
from tfp_ood.reporting.outcome import changes
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section:
    """A table of sets, and of the files of folders that were left out."""
    rows = [
        [one.label, one.key, _shape(one.about.native_shape), changes(one.about)]
        for one in evidence.sets
    ]
    header = ["Set", "as given", "native size", "images were"]
    table = html.table("What was done to the images", header, rows, "facts")
    parts = (table, left_out.unreadable(evidence.sets), left_out.not_looked_at(evidence.sets))
    return Section(html.section("Preparation", "\n".join(filter(None, parts))))


def _shape(shape: Sequence[int | None]) -> str:
    return " x ".join("varying" if size is None else str(size) for size in shape)
