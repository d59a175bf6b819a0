"""The model, and what it says of an image: exact likelihoods, or bounds."""

from tfp_ood.reporting import html, names
from tfp_ood.reporting.run.evidence import Evidence, Section

_KINDS = {
    "exact": "exact log p(x)",
    "bound": "a lower bound of log p(x), {num_draws} noise draw(s) per image",
}
_SHOWN = ("family", "num_parameters", "kind", "num_draws")


def section(evidence: Evidence) -> Section:
    """A table of facts."""
    model = evidence.summary.model
    rows = [
        ["family", names.family(model["family"])],
        ["parameters", f"{model['num_parameters']:,}"],
        ["likelihood", _KINDS[model["kind"]].format(num_draws=model["num_draws"])],
    ]
    rows += [[key.replace("_", " "), value] for key, value in model.items() if key not in _SHOWN]
    return Section(html.section("Model", html.table("What was scored with", [], rows, "facts")))
