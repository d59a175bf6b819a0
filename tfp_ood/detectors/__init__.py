"""Detectors, one file each: score tables -> a score per image, higher = more out-of-distribution.

`base.py` has the protocol that all of them keep, `conformal.py` the test that turns scores into
decisions at a false-alarm rate. May import score tables (`evaluation/tables.py`), `metrics/` and
the root of the package; never TensorFlow.

A new detector is a class in a file of its own and a line in `_ALL`: it is then in `summary.json`,
on every page and in the model card.
"""

from collections.abc import Sequence

from tfp_ood.detectors.base import ColumnDetector, Detector
from tfp_ood.detectors.ensemble import WAIC, Mean, Variance
from tfp_ood.detectors.likelihood import Likelihood
from tfp_ood.evaluation.tables import ScoreTable

__all__ = ["DETECTORS", "LIKELIHOOD", "ColumnDetector", "Detector", "fitted", "of_ensembles"]

_ALL: tuple[type[Detector], ...] = (
    Likelihood,
    Mean,
    Variance,
    WAIC,
)

DETECTORS: dict[str, Detector] = {made.name: made() for made in _ALL}
"""Name in `summary.json` -> detector, not fitted."""

LIKELIHOOD = Likelihood.name
"""The detector whose failure the paper is about, and which the sentences of the pages are about."""


def fitted(held_out: Sequence[ScoreTable], judged: Sequence[ScoreTable]) -> dict[str, Detector]:
    """The detectors of single models that these tables allow, fitted.

    Args:
      held_out: in-distribution images that no weight was trained on, or none: detectors that have
        to see some are then left out.
      judged: tables of all sets to be judged, of one model.

    Returns:
      Name -> detector, in the order of the registry.
    """
    return {
        name: detector.fit(held_out)
        for name, detector in DETECTORS.items()
        if not detector.of_ensembles
        and detector.is_applicable([*held_out, *judged])
        and (held_out or not detector.needs_held_out)
    }


def of_ensembles() -> dict[str, Detector]:
    """The detectors that take the tables of several models, in the order of the registry."""
    return {name: detector for name, detector in DETECTORS.items() if detector.of_ensembles}
