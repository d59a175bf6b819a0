"""ROC curves: how many images are caught, against how many own ones are flagged with them."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from tfp_ood import detectors
from tfp_ood.detectors import Detector
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.summary import auroc_words

_OF_LIKELIHOOD = (
    "Every threshold on the likelihood is a point; a useful detector is above the diagonal, "
    "and below it foreign images are likelier than the model's own."
)


def section(evidence: Evidence) -> Section | None:
    """A figure for each detector; none where no set but reduced contrast was judged."""
    if len(evidence.shown) < 2:
        return None
    parts = [_figure(evidence, name) for name in evidence.panel.detectors]
    return Section(html.section("ROC curves", "\n".join(parts)))


def _figure(evidence: Evidence, name: str) -> str:
    detector = evidence.panel.detectors[name]
    if name == detectors.LIKELIHOOD:
        part, begins, caption = "", "ROC curves", _OF_LIKELIHOOD
    else:
        part, begins = name, f"ROC curves of {detector.title}"
        caption = f"{detector.title}: a useful detector is above the diagonal."
    labels = [
        f"{one.label}, AUROC {auroc_words(one.about.scores[name])}" for one in evidence.shown[1:]
    ]
    figure = draw(detector, evidence.shown, labels)
    return evidence.draw("roc", figure, f"{begins}: {'; '.join(labels)}", caption, part)


def draw(detector: Detector, sets: Sequence[JudgedSet], labels: Sequence[str]) -> Figure:
    """Draws the curves.

    Args:
      detector: fitted.
      sets: in-distribution first.
      labels: of the other sets, for the legend.
    """
    in_scores, *out_scores = (detector.score([one.table]) for one in sets)
    curves = (
        (in_scores, scores, {**figures.style(number), "label": label})
        for number, (scores, label) in enumerate(zip(out_scores, labels, strict=True), 1)
    )
    figure = figures.new(6, 5.4 + 0.25 * len(labels))
    figures.roc_curves(figure, curves)
    figures.finish(figure)
    return figure
