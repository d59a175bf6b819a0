"""The sets of a run, what judges them, and what it says: what a model card tells of."""

import dataclasses
from collections.abc import Collection, Sequence

from tfp_ood import detectors
from tfp_ood.detectors import COMBINED, LIKELIHOOD, Detector, Panel
from tfp_ood.detectors.guard import Judgement
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting.summary import Summary, judge, summarize


@dataclasses.dataclass(frozen=True)
class Judged:
    """Sets of images, and the panel that judges them."""

    tables: Sequence[ScoreTable]
    """In-distribution test images first, then the foreign sets."""
    panel: Panel
    summary: Summary
    """What the panel says of the sets."""

    @property
    def members(self) -> dict[str, Detector]:
        """The detectors that the guard joins, by name."""
        return detectors.joined(self.panel.detectors)

    def uses(self, name: str) -> tuple[str, ...]:
        """The columns that a detector of the panel takes."""
        return self.panel.detectors[name].uses(self.tables[0].column_names)

    def judgements(self) -> list[Judgement]:
        """What the guard says of each set.

        Raises:
          ExportError: there is no guard.
        """
        return [self.panel.guard.judge([table]) for table in self.tables]


def judged(tables: Sequence[ScoreTable], held_out: ScoreTable, false_alarm_rate: float) -> Judged:
    """Fits all detectors to held-out images, and lets them judge sets.

    Args:
      tables: of the sets, the in-distribution one first.
      held_out: of in-distribution images that no weight was trained on.
      false_alarm_rate: of the guard.

    Raises:
      EvaluationError: as `reporting.summary.judge`.
    """
    return Judged(tables, *judge(tables[0], tables[1:], [held_out], false_alarm_rate))


def judged_without(
    columns: Collection[str],
    tables: Sequence[ScoreTable],
    held_out: ScoreTable,
    false_alarm_rate: float,
) -> Judged:
    """The same without some columns; the summary is of likelihood and the combination alone.

    Raises:
      EvaluationError: as `reporting.summary.judge`.
    """
    *kept, held_out = (table.without(columns) for table in (*tables, held_out))
    panel = detectors.panel([held_out], kept, false_alarm_rate)
    shown = {k: v for k, v in panel.detectors.items() if k in (LIKELIHOOD, COMBINED)}
    few = dataclasses.replace(panel, detectors=shown)
    return Judged(kept, panel, summarize(kept[0], kept[1:], few))
