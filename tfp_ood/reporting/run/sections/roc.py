"""ROC curves: how many images are caught, against how many own ones are flagged with them."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from tfp_ood import detectors
from tfp_ood.detectors import Detector
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.run.evidence import Evidence, Section
from tfp_ood.reporting.summary import auroc_words

_LINES = {detectors.LIKELIHOOD: "--", detectors.COMBINED: "-"}
_CALLED = {detectors.LIKELIHOOD: "likelihood", detectors.COMBINED: "all combined"}
_CAPTION = (
    "Every threshold on a score is a point; a useful detector is above the diagonal. Below it "
    "foreign images score as more usual than the model's own."
)
_BOTH = "A colour and mark for each set; dashed: likelihood alone, solid: all detectors combined."


def section(evidence: Evidence) -> Section | None:
    """Likelihood, and all combined; none where no set but reduced contrast was judged."""
    if len(evidence.shown) < 2:
        return None
    judges = {k: v for k, v in evidence.panel.detectors.items() if k in _LINES}
    alt = "; ".join(
        f"{one.label}, {_CALLED[name]}: AUROC {auroc_words(one.about.scores[name])}"
        for one in evidence.shown[1:]
        for name in judges
    )
    caption = f"{_CAPTION} {_BOTH}" if len(judges) > 1 else _CAPTION
    figure = evidence.draw("roc", draw(judges, evidence.shown), f"ROC curves: {alt}", caption)
    return Section(html.section("ROC curves", figure))


def draw(judges: Mapping[str, Detector], sets: Sequence[JudgedSet]) -> Figure:
    """Draws the curves.

    Args:
      judges: name -> fitted detector.
      sets: in-distribution first.
    """
    in_scores = {name: one.score([sets[0].table]) for name, one in judges.items()}
    curves = []
    for number, one in enumerate(sets[1:], 1):
        marker = figures.MARKERS[(number - 1) % len(figures.MARKERS)]
        for name, judge in judges.items():
            look = figures.style(number) | {"marker": marker, "markevery": 0.12, "markersize": 5}
            if len(judges) > 1:
                look["linestyle"] = _LINES[name]
            look["label"] = f"{one.label}, {_CALLED[name]}: {auroc_words(one.about.scores[name])}"
            curves.append((in_scores[name], judge.score([one.table]), look))
    figure = figures.new(6, 5.4 + 0.25 * len(curves))
    figures.roc_curves(figure, curves)
    figures.finish(figure)
    return figure
