"""Score tables -> `summary.json`: what the tables say, in numbers."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic, detectors
from tfp_ood.detectors import Panel
from tfp_ood.detectors.guard import Guard
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics import bootstrap
from tfp_ood.reporting import names

FORMAT = 4
"""The format of the files that this version writes and reads; other reports are made again."""

_CLASS = "predicted_class"
_CONFIDENT = 0.9

UNITS = {
    "log_prob": "nats per image, of the discrete image",
    "bits_per_dim": "bits per dimension",
    "bits_per_dim_std": "over images, divided by N",
    "scores": "higher is more out-of-distribution; out-of-distribution is positive in auroc, "
    "auprc_out and fpr95 (share of in-distribution images flagged when 95 % of the others are); "
    "in-distribution in auprc_in and fpr95_in (share of the others accepted when 95 % of the "
    "in-distribution images are)",
    "flagged": "share of images that the guard flags, by detector combined, at the false-alarm "
    "rate; flagged_interval: 95 % interval over images; flagged_by_likelihood: by a threshold on "
    "low likelihood at the same rate",
    "interval": f"{bootstrap.LEVEL:.0%} bootstrap interval over images, "
    f"{bootstrap.NUM_RESAMPLES:,} resamples, of this one trained model",
}

Metrics = Mapping[str, Any]
"""What `metrics.detection_metrics` gives, and of each NAME a NAME_interval, [low, high]."""

SHOWN_METRICS = ("auroc", "fpr95", "fpr95_in", "auprc_out", "auprc_in")
"""In tables; what matters most first."""


@dataclasses.dataclass(frozen=True)
class SetSummary:
    """The numbers of one set."""

    label: str
    """What the set is called."""
    num_images: int
    log_prob_mean: float
    """Nats per image."""
    bits_per_dim_mean: float
    bits_per_dim_std: float
    """Over images, divided by N."""
    native_shape: Sequence[int | None]
    preprocessing: Mapping[str, Any]
    """What was done to the images (`data.shaping`)."""
    classifier: Mapping[str, float] | None = None
    """What class-conditional models believe of the images' classes; None for other models."""
    scores: Mapping[str, Metrics] = dataclasses.field(default_factory=dict)
    """Detector -> metrics; empty for the in-distribution set."""
    flagged: float | None = None
    """The share of its images that the guard flags; None, like the two below, without a guard."""
    flagged_interval: Sequence[float] | None = None
    """95 % interval of that share, over images."""
    flagged_by_likelihood: float | None = None
    """The share that a threshold on low likelihood would flag, at the same false-alarm rate."""

    @property
    def combined(self) -> Metrics | None:
        """The metrics of the combined detector, if there is one."""
        return self.scores.get(detectors.COMBINED)

    @property
    def likelihood(self) -> Metrics:
        """The metrics of likelihood as a detector."""
        return self.scores[detectors.LIKELIHOOD]


@dataclasses.dataclass(frozen=True)
class Summary:
    """The numbers of one model on its own set and on out-of-distribution ones."""

    in_distribution: str
    """Name of the set, as in the config."""
    in_distribution_key: str
    """Name and split in one, such as "mnist/test"; so are the keys below."""
    model: Mapping[str, Any]
    """Facts of the model (`ScoreTable.model_facts`)."""
    datasets: Mapping[str, SetSummary]
    """The in-distribution set first."""
    false_alarm_rate: float | None = None
    """Of the guard: the share of in-distribution images that it may flag; None without a guard."""
    left_out: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """Detector that could not judge -> columns of the score tables that it lacked."""
    diagnosis: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Section of the report -> what explains the likelihoods."""

    @property
    def in_set(self) -> SetSummary:
        """The in-distribution set's numbers."""
        return self.datasets[self.in_distribution_key]

    @property
    def out_sets(self) -> list[SetSummary]:
        """The numbers of the sets to tell from it, in order."""
        return [one for key, one in self.datasets.items() if key != self.in_distribution_key]

    @property
    def detector_names(self) -> list[str]:
        """The detectors that judged the out-of-distribution sets, in the registry's order."""
        return list(self.out_sets[0].scores) if self.out_sets else []


def to_json(summary: Summary) -> dict[str, Any]:
    """The content of `summary.json`: plain, finite values."""
    values = dataclasses.asdict(summary)
    for entry in values["datasets"].values():
        for name in ("classifier", "scores", *(k for k in entry if k.startswith("flagged"))):
            if entry[name] is None or entry[name] == {}:
                del entry[name]
    return {"format": FORMAT, "units": UNITS, **values}


def write(path: str | os.PathLike[str], summary: Summary) -> None:
    """Writes `summary.json`, whole or not at all."""
    atomic.write_json(path, to_json(summary))


def read(path: str | os.PathLike[str]) -> Summary:
    """Reads what `write` wrote.

    Raises:
      OSError, ValueError, KeyError, TypeError: there is no such file, it is damaged, or it is of
        another version of this program.
    """
    values = json.loads(pathlib.Path(path).read_text())
    if values.pop("format", 1) != FORMAT:
        raise ValueError("it is of another version of this program")
    del values["units"]
    datasets = {key: SetSummary(**entry) for key, entry in values.pop("datasets").items()}
    return Summary(datasets=datasets, **values)


def judge(
    in_table: ScoreTable,
    out_tables: Sequence[ScoreTable],
    held_out: Sequence[ScoreTable],
    false_alarm_rate: float,
) -> tuple[Panel, Summary]:
    """Fits what judges the sets of a model, and the figures that it gives.

    Args:
      in_table: scores of the in-distribution set.
      out_tables: scores of the sets to tell from it.
      held_out: scores of in-distribution images that no weight was trained on, or none.
      false_alarm_rate: of the guard.

    Raises:
      EvaluationError: as `summarize`.
    """
    check_tables([in_table, *out_tables], held_out)
    panel = detectors.panel(held_out, [in_table, *out_tables], false_alarm_rate)
    return panel, summarize(in_table, out_tables, panel)


def summarize(
    in_table: ScoreTable, out_tables: Sequence[ScoreTable], panel: Panel | None = None
) -> Summary:
    """The figures of one model on its own set and on out-of-distribution ones.

    Args:
      in_table: scores of the in-distribution set.
      out_tables: scores of the sets to tell from it.
      panel: what judges them; by default the detectors that no held-out images are needed for.

    Raises:
      EvaluationError: the tables are of different models or likelihood estimates, one set is
        there twice, or a table is empty or not finite.
    """
    tables = [in_table, *out_tables]
    check_tables(tables)
    panel = panel or detectors.panel([], tables)
    labels = names.labels([(t.dataset, t.split) for t in tables])
    in_scores = {name: one.score([in_table]) for name, one in panel.detectors.items()}
    guard, datasets = panel.found if isinstance(panel.found, Guard) else None, {}
    for table, label in zip(tables, labels, strict=True):
        scores = {
            name: detection(in_scores[name], one.score([table]))
            for name, one in panel.detectors.items()
            if table is not in_table
        }
        datasets[table.key] = _describe(table, label, scores, guard)
    return Summary(
        in_table.dataset,
        in_table.key,
        in_table.model_facts(),
        datasets,
        guard.combined.calibration.false_alarm_rate if guard else None,
        panel.left_out,
    )


def detection(in_scores: np.ndarray, out_scores: np.ndarray) -> dict[str, Any]:
    """The metrics of a score (`metrics.detection_metrics`), and of each NAME a NAME_interval.

    Raises:
      EvaluationError: a set is empty or has scores that are not finite.
    """
    metrics, intervals = bootstrap.estimates(in_scores, out_scores)
    return {
        **metrics,
        **{f"{name}_interval": list(ends) for name, ends in intervals.items()},
    }


def auroc_words(metrics: Metrics) -> str:
    """The AUROC and its interval, such as "0.910 (0.899 to 0.921)"."""
    low, high = metrics["auroc_interval"]
    return f"{metrics['auroc']:.3f} ({low:.3f} to {high:.3f})"


def _describe(
    table: ScoreTable, label: str, scores: Mapping[str, Metrics], guard: Guard | None
) -> SetSummary:
    flagged = {}
    if guard:
        judged = guard.judge([table])
        flagged = {
            "flagged": float(np.mean(judged.flagged)),
            "flagged_interval": list(judged.share_flagged_interval),
            "flagged_by_likelihood": float(np.mean(judged.beyond_likelihood)),
        }
    return SetSummary(
        label=label,
        num_images=table.num_images,
        log_prob_mean=float(np.mean(table.log_prob)),
        bits_per_dim_mean=float(np.mean(table.bits_per_dim)),
        bits_per_dim_std=float(np.std(table.bits_per_dim)),
        native_shape=table.metadata["native_shape"],
        preprocessing=table.metadata["preprocessing"],
        classifier=_classifier(table) if _CLASS in table.statistics else None,
        scores=scores,
        **flagged,
    )


def _classifier(table: ScoreTable) -> dict[str, float]:
    """What a class-conditional model believes of the images' classes: p(y|x) by Bayes' rule."""
    probability = table.statistics["class_probability"]
    return {
        "class_probability_mean": float(np.mean(probability)),
        "share_above_0.9": float(np.mean(probability > _CONFIDENT)),
        "class_entropy_mean": float(np.mean(table.statistics["class_entropy"])),
        # Of out-of-distribution images too, where it means nothing unless the classes are the same.
        "label_agreement": float(np.mean(table.statistics[_CLASS] == table.label)),
    }


def check_tables(tables: Sequence[ScoreTable], held_out: Sequence[ScoreTable] = ()) -> None:
    """Refuses tables of different models, and a set that is there twice.

    Raises:
      EvaluationError: names the sets.
    """
    _check_same_model([*tables, *held_out])
    _check_all_different(tables)


def _check_same_model(tables: Sequence[ScoreTable]) -> None:
    first = tables[0].model_facts()
    for table in tables[1:]:
        facts = table.model_facts()
        for key in sorted(first.keys() | facts.keys()):
            if first.get(key) != facts.get(key):
                raise EvaluationError(
                    f"The scores of {tables[0].key} and {table.key} cannot be compared: {key} is "
                    f"{first.get(key)!r} in one and {facts.get(key)!r} in the other. "
                    "--mode=evaluate makes those anew that do not belong to the current model."
                )


def _check_all_different(tables: Sequence[ScoreTable]) -> None:
    keys = [table.key for table in tables]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise EvaluationError(
            f"Judged against itself or given twice: {', '.join(twice)}; valid are different sets."
        )
