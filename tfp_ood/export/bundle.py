"""A trained and evaluated run -> WORKDIR/export, which other programs can use."""

import pathlib
import re

from tfp_ood import atomic, detectors
from tfp_ood.config import Config, ConfigError
from tfp_ood.data import division, pipeline
from tfp_ood.detectors import conformal
from tfp_ood.evaluation import asked, evaluate
from tfp_ood.export import saved_model
from tfp_ood.export.card import Facts, model_card
from tfp_ood.export.judged import judged, judged_without
from tfp_ood.training import fit
from tfp_ood.workdir import WorkDir

_CLIENT = pathlib.Path(__file__).with_name("client.py")


def check_held_out(config: Config, data_dir: str | None) -> None:
    """Refuses fewer held-out images than a guard needs at the false-alarm rate.

    Raises:
      ConfigError: says which rate would do, and how many images.
      DataError: the set is not there.
    """
    name, rate = config.data.in_distribution, config.export.false_alarm_rate
    split = pipeline.open_split(name, "validation", config.data, data_dir)
    count = split.num_different or split.num_images
    lowest, fewest = conformal.limits(-(-count // 2), rate)
    needed = 2 * fewest - 1  # of an odd number the half of the threshold has more
    if count < needed:
        different = "different " if count < split.num_images else ""
        with_copies = -(-needed * split.num_images // count)
        valid = (
            f"at least {lowest:g} with the {count:,} {different}images of {name} that are held out "
            "for validation, of which one half fits the detectors and the other sets the "
            f"threshold; for {rate:g} train with config.data.num_validation of at least "
            f"{with_copies:,}"
        )
        if split.version:  # files of a person's own, of which only a part is held out
            valid += f" and at least {division.fewest_images(with_copies):,} images"
            valid += ", if as many of them are copies" if different else ""
        raise ConfigError("export.false_alarm_rate", rate, valid)


def write_export(config: Config, workdir: WorkDir, data_dir: str | None) -> pathlib.Path:
    """Writes WORKDIR/export, whole or not at all: model, model_card.md and client.py.

    The guard is fitted and calibrated with the held-out images, on the columns that a graph can
    compute; the test images and the other sets measure it.

    Args:
      config: of the run.
      workdir: of the run.
      data_dir: of TFDS.

    Returns:
      The folder.

    Raises:
      TrainingError: no trained model.
      EvaluationError: score tables are missing or not current, or likelihoods are not finite.
      ExportError: too few validation images for the false-alarm rate, or the model cannot leave
        this process.
      UserError: the run is of another config, or its images have changed.
    """
    tables, held_out = evaluate.current_tables(config, workdir, data_dir)
    model = fit.load_trained(config, workdir)
    num_draws = held_out.metadata["num_draws"]  # as the tables were scored: 1 for exact likelihoods
    rate = config.export.false_alarm_rate
    held_out = detectors.different(held_out)  # while there are the columns that tell
    lacks = set(held_out.statistics) - saved_model.computable(model, num_draws)
    exported = judged_without(lacks, tables, held_out, rate)
    guard = exported.panel.guard
    full = judged(tables, held_out, rate)
    shipped = saved_model.shipped(model)
    card = model_card(Facts(config, fit.training_facts(workdir), full, exported, shipped))
    size = config.scoring_batch_size
    with atomic.replacing_folder(workdir.export) as folder:
        saved_model.write(folder / "model", model, num_draws, guard, size)
        (folder / "model_card.md").write_text(card, encoding="utf-8")
        (folder / _CLIENT.name).write_text(_client(size), encoding="utf-8")
    asked.note(workdir, {"false_alarm_rate": rate})
    return workdir.export


def _client(batch_size: int) -> str:
    """The client, with as many images in a batch as suit the model."""
    text = _CLIENT.read_text(encoding="utf-8")
    return re.sub(r"^BATCH = \d+$", f"BATCH = {batch_size}", text, flags=re.MULTILINE)
