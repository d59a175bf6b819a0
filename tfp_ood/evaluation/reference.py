"""The likelihood of the same images under another run, `config.evaluate.reference`."""

from tfp_ood import models
from tfp_ood.config import Config, ConfigError, fingerprint
from tfp_ood.training import fit
from tfp_ood.workdir import WorkDir, open_workdir

COLUMN = "reference_log_prob"
"""Of the score table: log p(x) under the other run, nats per image."""


def facts(config: Config, workdir: WorkDir) -> dict[str, str | None]:
    """What the reference was trained with and its weights, as short hashes.

    Args:
      config: with a reference.
      workdir: whose images it is to score.

    Raises:
      ConfigError: it is no trained run, is the run itself, or has images of another shape.
    """
    trained_with = fingerprint(_config(config, workdir).training_facts())
    weights = open_workdir(config.evaluate.reference).weights
    return {"config_hash": trained_with, "weights": weights}


def load(config: Config, workdir: WorkDir) -> models.LikelihoodModel:
    """The reference's model; arguments and errors as `facts`.

    Raises:
      TrainingError: its files are damaged.
    """
    return fit.load_trained(_config(config, workdir), open_workdir(config.evaluate.reference))


def _config(config: Config, workdir: WorkDir) -> Config:
    """What the reference was trained with."""
    given, place = config.evaluate.reference, open_workdir(config.evaluate.reference)

    def refused(valid: str) -> ConfigError:
        return ConfigError("evaluate.reference", given, valid)

    if place.is_same(workdir):
        raise refused("the work directory of another run")
    facts = place.trained_facts()
    if facts is None or not fit.is_trained(place):
        raise refused("the work directory of a run whose training has ended")
    try:
        found = config.as_trained(facts)
    except ConfigError as error:
        raise refused(f"a run of likelihood models of this version ({error})") from error
    if found.data.image_shape != config.data.image_shape:
        shape = list(config.data.image_shape)
        raise refused(f"a run on images of shape {shape}; its are {list(found.data.image_shape)}")
    return found
