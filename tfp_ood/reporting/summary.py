"""Score tables -> `summary.json`: what the tables say, in numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_ood.detectors import SCORES
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.metrics import bootstrap
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting import names

_CLASS = "predicted_class"
_CONFIDENT = 0.9

UNITS = {
    "log_prob": "nats per image, of the discrete image",
    "bits_per_dim": "bits per dimension",
    "bits_per_dim_std": "over images, divided by N",
    "scores": "higher is more out-of-distribution; out-of-distribution is positive in auroc, "
    "auprc_out and fpr95 (share of in-distribution images flagged when 95 % of the others are)",
    "interval": f"{bootstrap.LEVEL:.0%} bootstrap interval over images, "
    f"{bootstrap.NUM_RESAMPLES:,} resamples, of this one trained model",
}


def summarize(in_table: ScoreTable, out_tables: Sequence[ScoreTable]) -> dict[str, Any]:
    """The figures of one model on its own set and on foreign ones.

    Args:
      in_table: scores of the in-distribution set.
      out_tables: scores of the sets to tell from it.

    Returns:
      {"in_distribution": name, "in_distribution_key": key, "model": facts, "units": words,
      "datasets": {key: {...}}}, all JSON-able and finite. A key is "name/split". Every set has
      its numbers, label and preprocessing; foreign ones have "scores": {score: metrics} too.

    Raises:
      EvaluationError: the tables are of different models or likelihood estimates, one set is
        there twice, or a table is empty or not finite.
    """
    tables = [in_table, *out_tables]
    _check_same_model(tables)
    _check_all_different(tables)
    labels = names.labels([(t.dataset, t.split) for t in tables])
    datasets = {t.key: _describe(t, label) for t, label in zip(tables, labels, strict=True)}
    for table in out_tables:
        datasets[table.key]["scores"] = {
            name: detection(score(in_table), score(table)) for name, score in SCORES.items()
        }
    return {
        "in_distribution": in_table.dataset,
        "in_distribution_key": in_table.key,
        "model": in_table.model_facts(),
        "units": UNITS,
        "datasets": datasets,
    }


def detection(in_scores: np.ndarray, out_scores: np.ndarray) -> dict[str, Any]:
    """The metrics of a score (`metrics.detection_metrics`), and of each NAME a NAME_interval.

    Raises:
      EvaluationError: a set is empty or has scores that are not finite.
    """
    intervals = bootstrap.intervals(in_scores, out_scores)
    return {
        **detection_metrics(in_scores, out_scores),
        **{f"{name}_interval": list(ends) for name, ends in intervals.items()},
    }


def _describe(table: ScoreTable, label: str) -> dict[str, Any]:
    classifier = {"classifier": _classifier(table)} if _CLASS in table.statistics else {}
    return {
        **classifier,
        "label": label,
        "num_images": table.num_images,
        "log_prob_mean": float(np.mean(table.log_prob)),
        "bits_per_dim_mean": float(np.mean(table.bits_per_dim)),
        "bits_per_dim_std": float(np.std(table.bits_per_dim)),
        "native_shape": table.metadata["native_shape"],
        "preprocessing": table.metadata["preprocessing"],
    }


def _classifier(table: ScoreTable) -> dict[str, float]:
    """What a class-conditional model believes of the images' classes: p(y|x) by Bayes' rule."""
    probability = table.statistics["class_probability"]
    return {
        "class_probability_mean": float(np.mean(probability)),
        "share_above_0.9": float(np.mean(probability > _CONFIDENT)),
        "class_entropy_mean": float(np.mean(table.statistics["class_entropy"])),
        # Of foreign images too, where it means nothing unless the classes are the same.
        "label_agreement": float(np.mean(table.statistics[_CLASS] == table.label)),
    }


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
        raise EvaluationError(f"Judged against itself or given twice: {', '.join(twice)}.")
