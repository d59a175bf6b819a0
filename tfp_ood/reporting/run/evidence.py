"""What the sections of a run's page are made of, and what a section is."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfp_ood.config import Config
from tfp_ood.detectors import Panel
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import figures, html
from tfp_ood.reporting.judged import JudgedSet, JudgedSets, without_reduced
from tfp_ood.reporting.summary import Summary
from tfp_ood.trajectory import Scored
from tfp_ood.workdir import WorkDir


@dataclasses.dataclass(frozen=True)
class Section:
    """One explanation: a part of the page, and its numbers."""

    html: str
    numbers: Any = None
    """JSON-able, for `summary.json`, under `diagnosis` and the section's name; None for none."""


@dataclasses.dataclass(frozen=True)
class Evidence(JudgedSets):
    """What evaluation left of a run."""

    workdir: WorkDir
    sets: Sequence[JudgedSet]
    """The in-distribution set first."""
    summary: Summary
    panel: Panel
    """What judged the sets."""
    slopes: Mapping[str, np.ndarray] | None = None
    """What `second_order.read` gives."""
    trajectory: Mapping[int, Mapping[str, Scored]] = dataclasses.field(default_factory=dict)
    """What `trajectory.read` gives."""
    config: Config | None = None
    """Of the experiment, if known."""

    @property
    def shown(self) -> list[JudgedSet]:
        """The sets without the in-distribution images with less contrast."""
        return without_reduced(self.sets)

    @property
    def samples_are_current(self) -> bool:
        """Whether there are samples, of the weights that the sets were scored with.

        Raises:
          EvaluationError: their record is damaged.
        """
        if not self.workdir.sample_images.exists():
            return False
        return self.of_samples("weights", str) == self.summary.model["weights"]

    def of_samples(self, key: str, kind: type) -> Any:
        """What the samples were drawn with, from their record.

        Raises:
          EvaluationError: it is damaged, or what it says is of another kind.
        """
        facts = self.workdir.sample_facts
        try:
            value = json.loads(facts.read_text())[key]
            if not isinstance(value, kind):
                raise TypeError(f"{key} is {value!r}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{facts} cannot be read ({error}). "
                "Delete the file and run --mode=sample, which makes it again."
            ) from error
        return value

    def draw(self, section: str, figure: Figure, alt: str, caption: str, part: str = "") -> str:
        """HTML of a section's figure, which is left as a file too; `part` tells several apart."""
        return html.drawn(section, figure, self._stem(section, part), alt, caption)

    def sampled(
        self,
        section: str,
        source: pathlib.Path,
        draw: Callable[[np.ndarray, pathlib.Path], None],
        part: str = "",
    ) -> pathlib.Path | None:
        """The PNG of a section that shows an array of the samples' folder; `part` as in `draw`.

        Args:
          section: its name.
          source: the array.
          draw: draws it into a file.
          part: see `draw`.

        Returns:
          None where there is no such array, or it is of other weights than the scores.

        Raises:
          EvaluationError: it is damaged.
        """
        path = self._stem(section, part).with_suffix(".png")
        is_shown = self.samples_are_current and figures.image_file(source, draw, path)
        return path if is_shown else None

    def _stem(self, section: str, part: str) -> pathlib.Path:
        return self.workdir.report / (f"{section}-{part}" if part else section)

    def remove_files(self, section: str) -> None:
        """Removes the figures of an earlier report, which was perhaps about other sets."""
        for pattern in (f"{section}.p*", f"{section}-*.p*"):
            for path in self.workdir.report.glob(pattern):
                path.unlink()
