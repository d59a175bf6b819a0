"""The stages between a trained model and its report: score tables and samples."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood import atomic, models
from tfp_ood.config import Config, fingerprint
from tfp_ood.data import pipeline
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import images, likelihood, second_order, second_order_slopes, tables
from tfp_ood.training import fit
from tfp_ood.workdir import WorkDir

_NUM_RECONSTRUCTED = 16  # of every set
_RECORD = "samples.json"


def evaluate(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Scores every set whose table is missing or not current.

    Of a constant-volume Glow the slopes at the mean of its own images are kept too, for
    `second_order`.

    Raises:
      UserError: no trained model, one of another config, or images that do not fit.
      EvaluationError: likelihoods that are not finite.
    """
    workdir.check(config)
    sets = pipeline.open_sets(config.data, data_dir)
    workdir.check_images(sets[0].version)
    places = [(split, tables.table_path(workdir.root, split.name, split.split)) for split in sets]
    wanted = [
        (split, path, metadata)
        for split, path in places
        if not _is_current(path, metadata := _metadata(config, workdir, split))
    ]
    slopes_path = workdir.root / "scores" / second_order.FILE
    own_facts = _metadata(config, workdir, sets[0])
    wants_slopes = config.model.has_constant_volume and not second_order.read(
        slopes_path, own_facts
    )
    if not wanted and not wants_slopes:
        return
    model = fit.load_trained(config, workdir)
    for split, path, metadata in wanted:
        _score(config, model, split, path, metadata)
    if wants_slopes:
        mean_image = images.read_kept(places[0][1], own_facts).mean
        second_order.write(slopes_path, second_order_slopes.slopes(model, mean_image), own_facts)


def current_tables(
    config: Config, workdir: WorkDir, data_dir: str | None
) -> list[tables.ScoreTable]:
    """The score tables that `evaluate` leaves: the in-distribution set's, then the foreign ones'.

    Raises:
      UserError: no trained model, one of another config, or images that do not fit.
      EvaluationError: a table is missing or not current; names the sets.
    """
    workdir.check(config)
    fit.training_facts(workdir)
    sets = pipeline.open_sets(config.data, data_dir)
    workdir.check_images(sets[0].version)
    paths = [tables.table_path(workdir.root, split.name, split.split) for split in sets]
    missing = [
        f"{split.name}/{split.split}"
        for split, path in zip(sets, paths, strict=True)
        if not tables.is_current(path, _metadata(config, workdir, split))
    ]
    if missing:
        raise EvaluationError(
            f"No current scores of {', '.join(missing)} in {workdir.root / 'scores'}; "
            "run --mode=evaluate first, which makes them."
        )
    return [tables.read_score_table(path) for path in paths]


def validation_table(
    config: Config, workdir: WorkDir, data_dir: str | None, model: models.LikelihoodModel
) -> tables.ScoreTable:
    """The likelihoods of the in-distribution images that were held out for validation.

    No weight has seen them, and the test images stay for measuring. They are scored as those are,
    unless their table is current.

    Raises:
      UserError: images that do not fit, or have changed since the training.
      EvaluationError: likelihoods that are not finite.
    """
    name = config.data.in_distribution
    split = pipeline.open_split(name, "validation", config.data, data_dir)
    workdir.check_images(split.version)
    path = tables.table_path(workdir.root, split.name, split.split)
    metadata = _metadata(config, workdir, split)
    if not _is_current(path, metadata):
        _score(config, model, split, path, metadata)
    return tables.read_score_table(path)


def _score(
    config: Config,
    model: models.LikelihoodModel,
    split: pipeline.Split,
    path: pathlib.Path,
    metadata: Mapping[str, Any],
) -> None:
    """Writes a set's score table."""
    likelihood.write_score_table(
        path,
        lambda batch: model.statistics(batch, config.evaluate.num_draws),
        split,
        pipeline.scoring_batches(split, config.evaluate.batch_size),
        model.num_dims,
        metadata,
    )
    print(f"scored {split.num_images:,} images of {split.name}/{split.split}: {path}")


def _is_current(path: pathlib.Path, metadata: Mapping[str, Any]) -> bool:
    """Whether a table and what belongs beside it are there."""
    return tables.is_current(path, metadata) and images.kept_path(path).exists()


def sample(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Draws the report's samples into the work directory, unless they are there.

    Models that can reconstruct leave reconstructions.npy too: the first 16 images of every set
    and what becomes of them, uint8 [sets, 2, 16, H, W, C], white where a set has fewer.

    Raises:
      UserError: no trained model, or one of another config.
      DataError: a set to reconstruct is not there, or does not fit the model.
    """
    facts = _sample_facts(config)
    if _is_sampled(workdir, facts):
        return
    model = fit.load_trained(config, workdir)
    drawn = model.sample(config.sample.num_images, config.seed, config.sample.temperature)
    with atomic.replacing_folder(workdir.samples) as folder:
        np.save(folder / "samples.npy", drawn.numpy())
        if config.model.reconstructs:
            pairs = _reconstructions(model, pipeline.open_sets(config.data, data_dir))
            np.save(folder / "reconstructions.npy", pairs)
        (folder / _RECORD).write_text(json.dumps(facts) + "\n")
    print(f"drew {config.sample.num_images} samples: {workdir.samples / 'samples.npy'}")


def _is_sampled(workdir: WorkDir, facts: Mapping[str, Any]) -> bool:
    """Whether all samples that these facts ask for are there."""
    names = ["samples.npy", *(["reconstructions.npy"] if "reconstructed" in facts else [])]
    if not all((workdir.samples / name).exists() for name in names):
        return False
    try:
        return json.loads((workdir.samples / _RECORD).read_text()) == facts
    except (OSError, ValueError):
        return False


def _sample_facts(config: Config) -> dict[str, Any]:
    """All that the folder of samples depends on."""
    facts = {
        "config_hash": fingerprint(config.training_facts()),
        "num_images": config.sample.num_images,
        "temperature": config.sample.temperature,
    }
    if config.model.reconstructs:
        data = config.data
        facts["reconstructed"] = [data.in_distribution, *data.out_of_distribution]
    return facts


def _reconstructions(model: models.LikelihoodModel, sets: list[pipeline.Split]) -> np.ndarray:
    """See `sample`."""
    pairs = np.full((len(sets), 2, _NUM_RECONSTRUCTED, *model.image_shape), 255, np.uint8)
    for pair, split in zip(pairs, sets, strict=True):
        first = next(iter(pipeline.scoring_batches(split, _NUM_RECONSTRUCTED)))["image"]
        pair[0, : len(first)] = first
        pair[1, : len(first)] = model.reconstruct(first)
    return pairs


def _metadata(config: Config, workdir: WorkDir, split: pipeline.Split) -> dict[str, object]:
    facts = fit.training_facts(workdir)
    exact = facts["log_prob_kind"] == "exact"
    return tables.score_metadata(
        split,
        family=facts["family"],
        num_parameters=facts["num_parameters"],
        config_hash=fingerprint(config.training_facts()),
        kind=facts["log_prob_kind"],
        num_draws=1 if exact else config.evaluate.num_draws,
        seed=config.seed,
    )
