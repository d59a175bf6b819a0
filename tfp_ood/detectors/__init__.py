"""Detectors, one file each: score tables -> a score per image, higher = more out-of-distribution.

`base.py` has the protocol that all of them keep, `usual.py` what they learn from held-out images,
`conformal.py` the test that turns scores into decisions at a false-alarm rate, `guard.py` the
decision of all together, `drift.py` whether many new images are still like own ones. May import
score tables (`evaluation/tables.py`), `metrics/` and the root of the package; never TensorFlow.

A new detector is a class in a file of its own and a line in `_ALL`: it is then in `summary.json`,
on every page and in the model card; with `is_combined`, in the guard too where a table has one
of its `combined_with`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfp_ood.detectors.base import ColumnDetector, Detector
from tfp_ood.detectors.combined import Combined
from tfp_ood.detectors.complexity import Complexity
from tfp_ood.detectors.density import Density
from tfp_ood.detectors.ensemble import WAIC, Disagreement, Mean
from tfp_ood.detectors.gradient import Gradient
from tfp_ood.detectors.guard import Guard, guard
from tfp_ood.detectors.input_gradient import InputGradient
from tfp_ood.detectors.latent_fit import LatentFit
from tfp_ood.detectors.likelihood import Likelihood
from tfp_ood.detectors.ratio import Ratio
from tfp_ood.detectors.reconstruction import Reconstruction
from tfp_ood.detectors.symmetry import Symmetry
from tfp_ood.detectors.typicality import Typicality
from tfp_ood.errors import ExportError
from tfp_ood.evaluation.tables import ScoreTable

__all__ = [
    "COMBINED",
    "DETECTORS",
    "LIKELIHOOD",
    "ColumnDetector",
    "Detector",
    "Panel",
    "different",
    "halves",
    "joined",
    "of_ensembles",
    "panel",
]

_ALL: tuple[type[Detector], ...] = (
    Likelihood,
    Typicality,
    Complexity,
    Density,
    LatentFit,
    Reconstruction,
    Ratio,
    Symmetry,
    Gradient,
    InputGradient,
    Mean,
    Disagreement,
    WAIC,
)

_ALONE = {made.name: made() for made in _ALL}
_MEMBERS = tuple(one for one in _ALONE.values() if one.is_combined)

DETECTORS: dict[str, Detector] = {**_ALONE, Combined.name: Combined(_MEMBERS)}
"""Name in `summary.json` -> detector, not fitted."""

_OF_IMAGES, _DIGITS = ("pixel_mean", "pixel_variance", "code_bits"), 6
"""Columns of the image alone, which copies share."""

LIKELIHOOD = Likelihood.name
"""The detector whose failure the paper is about, and which the sentences of the pages are about."""

COMBINED = Combined.name
"""The detector that guards."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """What judges the sets of one model."""

    detectors: Mapping[str, Detector]
    """Name -> fitted detector, in the order of the registry."""
    left_out: Mapping[str, tuple[str, ...]]
    """Name of a detector that cannot judge -> columns that it needs and the tables lack; none
    where it is held-out images that lack."""
    found: Guard | ExportError
    """The guard, or why there is none."""

    @property
    def guard(self) -> Guard:
        """The guard.

        Raises:
          ExportError: there is none.
        """
        if isinstance(self.found, ExportError):
            raise self.found
        return self.found


def panel(
    held_out: Sequence[ScoreTable],
    judged: Sequence[ScoreTable],
    false_alarm_rate: float = 0.05,
    seed: int = 0,
) -> Panel:
    """Fits the detectors of single models that these tables allow, and their guard.

    Half of the held-out images fits, the other half sets the guard's threshold; of copies one.

    Args:
      held_out: the table of in-distribution images that no weight was trained on, or none:
        detectors that have to see some are then left out.
      judged: tables of all sets to be judged, of one model.
      false_alarm_rate: share of in-distribution images that the guard may flag.
      seed: of which half is which.
    """
    tables = [*held_out, *judged]
    parts = [halves(different(table), seed) for table in held_out]
    to_fit, to_calibrate = [one for one, _ in parts], [one for _, one in parts]
    made, left_out = {}, {}
    for name, detector in DETECTORS.items():
        if detector.of_ensembles:
            continue
        if not detector.is_applicable(tables) or (detector.needs_held_out and not held_out):
            lacks = (detector.missing(table.column_names) for table in tables)
            left_out[name] = tuple(dict.fromkeys(column for part in lacks for column in part))
        else:
            made[name] = detector.fit(to_fit)
    return Panel(made, left_out, _guard(made, to_calibrate, false_alarm_rate))


_NO_GUARD = (
    "There are no scores of held-out images, which --mode=evaluate makes, or they have none of the "
    "columns that a detector needs."
)


def _guard(
    made: Mapping[str, Detector], held_out: Sequence[ScoreTable], false_alarm_rate: float
) -> Guard | ExportError:
    if COMBINED not in made:
        return ExportError(_NO_GUARD)
    members = joined(made).values()
    try:
        return guard(made[COMBINED], made[LIKELIHOOD], members, held_out, false_alarm_rate)
    except ExportError as error:
        return error


def joined(fitted: Mapping[str, Detector]) -> dict[str, Detector]:
    """Those of the fitted detectors that their combination joins, by name."""
    combined = fitted.get(COMBINED)
    return {name: fitted[name] for name in combined.asked} if isinstance(combined, Combined) else {}


def different(table: ScoreTable) -> ScoreTable:
    """A table without copies: of images that are the same the first alone.

    They are told by what depends on the image alone: mean and variance of the pixels, which mirror
    images share, and the length under a code, which those do not. The division of a set keeps
    copies on one side (`data.division`), so that a held-out image that is there many times is one
    picture that other images are compared with, not many.
    """
    if not set(_OF_IMAGES) <= set(table.statistics):
        return table
    columns = np.stack([table.statistics[name] for name in _OF_IMAGES], 1)
    _, first = np.unique(columns.round(_DIGITS), axis=0, return_index=True)
    return table if len(first) == table.num_images else table.take(np.sort(first))


def halves(table: ScoreTable, seed: int = 0) -> tuple[ScoreTable, ScoreTable]:
    """Two random halves of a table; of an odd number the second, which sets a threshold, has one
    more, and a table of a single image is both."""
    if table.num_images < 2:
        return table, table
    order = np.random.default_rng(seed).permutation(table.num_images)
    first, second = np.split(order, [len(order) // 2])
    return table.take(np.sort(first)), table.take(np.sort(second))


def of_ensembles() -> dict[str, Detector]:
    """The detectors that take the tables of several models, in the order of the registry."""
    return {name: detector for name, detector in DETECTORS.items() if detector.of_ensembles}
