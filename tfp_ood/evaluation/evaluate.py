"""The stage that makes score tables of a trained model."""

import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfp_ood import models
from tfp_ood.config import Config, fingerprint
from tfp_ood.data import pipeline
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import (
    asked,
    code_length,
    images,
    likelihood,
    passes,
    reference,
    second_order,
    second_order_slopes,
    tables,
)
from tfp_ood.evaluation.code_length import in_graph
from tfp_ood.training import fit, strategy
from tfp_ood.workdir import WorkDir

_Sets = list[tuple[pipeline.Split, pathlib.Path, dict[str, Any]]]
"""Sets, and of each the path and metadata of its table."""


def evaluate(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Scores every set whose table is missing or not current, and the held-out images.

    The latter are the in-distribution images for validation: no weight has seen them, so that
    detectors are fitted on them, and the test images stay for measuring. Of a constant-volume Glow
    the slopes at the mean of its own images are kept too (`second_order`).

    Raises:
      UserError: no trained model, one of another config, or images that do not fit.
      EvaluationError: likelihoods that are not finite.
    """
    workdir.check(config)
    sets = _open_sets(config, workdir, data_dir)
    _score_missing(config, workdir, sets)
    if not config.is_monitoring:  # new images are none to judge a model against
        names = config.data.out_of_distribution
        judged = {"out_of_distribution": names} if names else {}
        how = {name: getattr(config.data, name) for name in asked.OF_DATA}
        asked.note(workdir, {**how, **judged})


def _score_missing(config: Config, workdir: WorkDir, sets: _Sets) -> None:
    """Makes what is missing of the tables of sets, the own test images the first of them."""
    wanted = [one for one in sets if not _is_current(*one[1:])]
    _, in_path, in_facts = sets[0]
    wants_slopes = config.model.has_constant_volume and not second_order.read(
        workdir.second_order, in_facts
    )
    if not wanted and not wants_slopes:
        return
    devices = strategy.of_scoring(config)
    with devices.scope():
        model = fit.load_trained(config, workdir)
        other = reference.load(config, workdir) if config.evaluate.reference else None
    spread = functools.partial(strategy.spread, devices)
    num_values = math.prod(sets[0][0].image_shape) * sum(one.num_images for one, *_ in wanted)
    of_many = code_length.many(num_values)
    score = scorer(model, config.evaluate.num_draws, other, spread, of_many)
    score = passes.added(score, model, config.evaluate, spread)
    for split, path, facts in wanted:
        likelihood.write_score_table(
            path,
            score,
            split,
            pipeline.scoring_batches(split, config.scoring_batch_size),
            facts,
        )
        print(f"scored {split.num_images:,} images of {split.name}/{split.split}: {path}")
    if wants_slopes:
        mean = images.read_kept(in_path, in_facts).mean
        if devices.num_replicas_in_sync > 1:  # whose weights are no arrays
            model = fit.load_trained(config, workdir)
        slopes = second_order_slopes.slopes(model, mean)
        second_order.write(workdir.second_order, slopes, in_facts)


def scorer(
    model: models.LikelihoodModel,
    num_draws: int,
    other: models.LikelihoodModel | None = None,
    spread: passes.Spread = lambda score: score,
    of_many: bool = False,
) -> likelihood.Scorer:
    """A function of images that tells the columns of their score table, in one pass.

    Args:
      model: initialised, or loaded.
      num_draws: of noise.
      other: whose likelihood is told too.
      spread: a function of images over devices (`strategy.spread`).
      of_many: how the length of images is found, which is the same (`code_length.many`).
    """
    statistics = spread(model.scoring_function(num_draws))
    of_other = spread(other.scoring_function(num_draws)) if other else None

    @tf.function(
        input_signature=[tf.TensorSpec([None, *model.image_shape], tf.uint8)], autograph=False
    )
    def score(batch: tf.Tensor) -> dict[str, tf.Tensor]:
        found = dict(statistics(batch))
        if not of_many:
            found[code_length.COLUMN] = in_graph.code_bits(batch)
        if of_other:
            found[reference.COLUMN] = of_other(batch)["log_prob"]
        return found

    return code_length.added(score) if of_many else score


def current_tables(
    config: Config, workdir: WorkDir, data_dir: str | None
) -> tuple[list[tables.ScoreTable], tables.ScoreTable]:
    """The score tables that `evaluate` leaves.

    Returns:
      Those of the judged sets, the in-distribution one first; and that of the held-out images.

    Raises:
      UserError: no trained model, one of another config, or images that do not fit.
      EvaluationError: a table is missing or not current; names the sets.
    """
    workdir.check(config)
    fit.training_facts(workdir)
    sets = _open_sets(config, workdir, data_dir)
    missing = [
        f"{split.name}/{split.split}" for split, path, facts in sets if not _serves(path, facts)
    ]
    if missing:
        raise EvaluationError(
            f"No current scores of {', '.join(missing)} in {workdir.scores}; "
            "run --mode=evaluate first, which makes them."
        )
    *judged, held_out = (tables.read_score_table(path) for _, path, _ in sets)
    return judged, held_out


def _serves(path: pathlib.Path, facts: dict[str, Any]) -> bool:
    """Whether a table is current; that it knows a reference which is not asked does not hurt."""
    reference = tables.facts_of(path).get("reference")
    return tables.is_current(path, {"reference": reference, **facts} if reference else facts)


def _open_sets(config: Config, workdir: WorkDir, data_dir: str | None) -> _Sets:
    """The judged sets and last the held-out images."""
    name = config.data.in_distribution
    # `num_test` of a monitor is of the new images; the own ones stay what they are.
    own_num_test = _own_num_test(workdir, name) if config.is_monitoring else None
    sets = pipeline.open_sets(config.data, data_dir, own_num_test)
    workdir.check_images(sets[0].version)
    sets.append(pipeline.open_split(name, "validation", config.data, data_dir))
    trained = fit.training_facts(workdir)
    facts = {
        "family": trained["family"],
        "num_parameters": trained["num_parameters"],
        "config_hash": fingerprint(config.training_facts()),
        "weights": workdir.weights,
        "kind": trained["log_prob_kind"],
        "num_draws": 1 if trained["log_prob_kind"] == "exact" else config.evaluate.num_draws,
        "seed": config.seed,
        **passes.facts(config.evaluate),
    }
    if config.evaluate.reference:
        facts["reference"] = reference.facts(config, workdir)
    return [
        (split, workdir.score_table(split.name, split.split), tables.score_metadata(split, **facts))
        for split in sets
    ]


def _own_num_test(workdir: WorkDir, name: str) -> int:
    """How many of the own test images were judged, 0 for all."""
    if (noted := asked.noted(workdir).get("num_test")) is not None:
        return noted
    facts = tables.facts_of(workdir.score_table(name, "test"))
    is_current = facts.get("weights") == workdir.weights
    is_part = is_current and "chosen_at_random_of" in facts.get("preprocessing", {})
    return facts["num_images"] if is_part else 0


def _is_current(path: pathlib.Path, metadata: Mapping[str, Any]) -> bool:
    """Whether a table and what belongs beside it are there."""
    return tables.is_current(path, metadata) and images.kept_path(path).exists()
