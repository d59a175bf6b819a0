"""The guard of a run for images in memory."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tfp_ood import detectors
from tfp_ood.api.images import as_images, in_batches
from tfp_ood.config import EvaluateConfig
from tfp_ood.detectors.guard import REASON_SEPARATOR, Guard
from tfp_ood.evaluation import code_length
from tfp_ood.evaluation import images as measures
from tfp_ood.evaluation.likelihood import Scorer
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import reasons

if TYPE_CHECKING:
    from tfp_ood.api.run import Run

_NOT_ASKED = ("reference_log_prob", "log_gradient")
"""Beginnings of columns that no part of the guard needs and that take long, or another run."""


class ImageDetector:
    """What tells images that are unlike those of a run: the guard of its pages.

    Its export's is the same but for what `config.evaluate` adds, which a graph cannot compute.

    One half of the run's held-out images fits the detectors, the other sets the threshold
    (docs/export.md). No foreign image has a part in it.

    Args:
      run: whose training and evaluation have ended.

    Raises:
      EvaluationError: the held-out images are not scored, or with other weights.
      ExportError: they are too few for `config.export.false_alarm_rate`.
    """

    def __init__(self, run: "Run") -> None:
        self._run = run
        table = run.held_out()
        self.held_out = table.without(n for n in table.statistics if n.startswith(_NOT_ASKED))
        """The scores that the guard was fitted to."""
        rate = run.config.export.false_alarm_rate
        tables = [self.held_out]
        self.guard: Guard = detectors.panel(tables, tables, rate).guard
        """Of score tables."""
        self._scorers: dict[bool, Scorer] = {}

    @property
    def false_alarm_rate(self) -> float:
        """The share of images like the run's own that may be flagged."""
        return self.guard.combined.calibration.false_alarm_rate

    @property
    def threshold(self) -> float:
        """The score above which an image is flagged."""
        return self.guard.combined.calibration.threshold

    def score(self, images: Any) -> np.ndarray:
        """How unlike the run's images these are, float64 [N]: higher is more so.

        Args:
          images: uint8 [N, H, W, C] in the shape of the model, or [N, H, W] if they are gray.

        Raises:
          ImageError: they are of another type or shape.
        """
        return self.guard.combined.detector.score([self._table(images)])

    def predict(self, images: Any) -> pa.Table:
        """The guard's decision on each image, with its reasons.

        `.to_pandas()` makes the table a data frame where pandas is installed.

        Args:
          images: see `score`.

        Returns:
          score: float64, as `score`.
          p_value: float32, the share of held-out images, the new one counted among them, whose
            score is at least as high.
          is_out_of_distribution: bool, whether this is at most `false_alarm_rate`.
          reasons: string, what single detectors find unusual, such as "unusual input complexity;
            too likely"; "" where none does by itself.

        Raises:
          ImageError: they are of another type or shape.
        """
        return self.of_table(self._table(images))

    def of_table(self, table: ScoreTable) -> pa.Table:
        """The same of images that were scored, as `predict`; first, of a person's own files, where
        each is from (`ScoreTable.source`)."""
        found = self.guard.judge([table])
        words = [
            REASON_SEPARATOR.join(reasons.of_image(found, place))
            for place in range(len(found.score))
        ]
        return pa.table(
            {
                **({} if table.source is None else {"source": table.source}),
                "score": found.score,
                "p_value": found.p_value,
                "is_out_of_distribution": found.flagged,
                "reasons": pa.array(words, pa.string()),
            }
        )

    def _table(self, images: Any) -> ScoreTable:
        """The score table of images in memory, with the columns of the held-out images."""
        config = self._run.config
        checked = as_images(images, config.data.image_shape)
        columns = functools.partial(self._columns, self._scorer(code_length.many(checked.size)))
        found = in_batches(columns, checked, config.scoring_batch_size)
        log_prob = found.pop("log_prob")
        return dataclasses.replace(
            self.held_out,
            dataset="images",
            split="all",
            index=np.arange(len(checked)),
            label=np.full(len(checked), -1),
            log_prob=log_prob,
            bits_per_dim=self._run.to_bits(log_prob),
            statistics=found,
            source=None,
        )

    @staticmethod
    def _columns(scorer: Scorer, part: np.ndarray) -> dict[str, Any]:
        return {**scorer(part), **measures.columns(part)}

    def _scorer(self, of_many: bool) -> Scorer:
        """What the held-out images were asked (`evaluate.evaluate`), whatever the run's config says
        by now; for few and for many images it is made once."""
        if of_many not in self._scorers:
            model = self._run.model  # starts TensorFlow
            from tfp_ood.evaluation import evaluate, passes

            facts = self.held_out.metadata
            asked = EvaluateConfig(
                num_draws=facts["num_draws"], symmetries=facts.get("symmetries", False)
            )
            scorer = evaluate.scorer(model, asked.num_draws, of_many=of_many)
            self._scorers[of_many] = passes.added(scorer, model, asked)
        return self._scorers[of_many]
