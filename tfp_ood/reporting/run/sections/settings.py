"""The config of the run."""

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section | None:
    """A table of all keys; None where the config is not known."""
    return None if evidence.config is None else Section(html.config_section(evidence.config))
