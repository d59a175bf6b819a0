"""The stage that draws images from a trained model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic, models
from tfp_ood.config import Config, fingerprint
from tfp_ood.data import division, pipeline
from tfp_ood.training import fit
from tfp_ood.workdir import WorkDir

TEMPERATURES = (0.6, 0.8, 1.0)
"""Of the rows of images that show what the temperature does."""

_NUM_AT_TEMPERATURES = 10
_NUM_RECONSTRUCTED = 16
_NUM_STEPS = 9  # of a path, both ends included


def sample(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Draws the report's samples into the work directory, unless they are there.

    These are files of uint8 images `[..., H, W, C]`:

    samples.npy `[N]`
    temperatures.npy `[3, 10]`: of the same seed at each of `TEMPERATURES`.
    paths.npy `[sets, num_paths, 9]`, of models with latents: from one test image of a set to the
      next, by equal steps between their latents (Kingma & Dhariwal, "Glow", 2018, figure 5); white
      where a set has too few images.
    reconstructions.npy `[sets, 2, 16]`, of models that reconstruct: images of every set, and what
      becomes of them; white where a set has fewer.

    Raises:
      UserError: no trained model, or one of another config.
      DataError: a set whose images are needed is not there, or does not fit the model.
    """
    of_sets = _facts_of_sets(config)
    sets = pipeline.open_sets(config.data, data_dir) if of_sets else []
    facts = {**_facts(config, workdir), **of_sets, **_versions(sets)}
    if _is_current(workdir, facts):
        return
    model = fit.load_trained(config, workdir)
    drawn = model.sample(config.sample.num_images, config.seed, config.sample.temperature)
    rows = [model.sample(_NUM_AT_TEMPERATURES, config.seed, one).numpy() for one in TEMPERATURES]
    made = {workdir.sample_images: drawn.numpy(), workdir.temperatures: np.stack(rows)}
    if "paths" in facts:
        made[workdir.paths] = _paths(model, sets, config.sample.num_paths)
    if "reconstructed" in facts:
        made[workdir.reconstructions] = _reconstructions(model, sets)
    with atomic.replacing_folder(workdir.samples) as folder:
        for path, array in made.items():
            atomic.save_array(folder / path.name, array)
        (folder / workdir.sample_facts.name).write_text(json.dumps(facts) + "\n")
    print(f"drew {config.sample.num_images} samples: {workdir.sample_images}")


def _is_current(workdir: WorkDir, facts: Mapping[str, Any]) -> bool:
    """Whether all samples that these facts ask for are there."""
    places = {"paths": workdir.paths, "reconstructed": workdir.reconstructions}
    further = [place for name, place in places.items() if name in facts]
    if not all(p.exists() for p in (workdir.sample_images, workdir.temperatures, *further)):
        return False
    try:
        return json.loads(workdir.sample_facts.read_text()) == facts
    except (OSError, ValueError):
        return False


def _facts(config: Config, workdir: WorkDir) -> dict[str, Any]:
    """What the images that are drawn depend on."""
    return {
        "config_hash": fingerprint(config.training_facts()),
        "weights": workdir.weights,
        "num_images": config.sample.num_images,
        "temperature": config.sample.temperature,
        "temperatures": list(TEMPERATURES),
    }


def _facts_of_sets(config: Config) -> dict[str, Any]:
    """What is made from images of the sets, and from which; nothing where nothing is."""
    facts: dict[str, Any] = {}
    sets = [config.data.in_distribution, *config.data.out_of_distribution]
    if config.model.has_latents and config.sample.num_paths:
        facts |= {"num_paths": config.sample.num_paths, "paths": sets}
    if config.model.reconstructs:
        facts["reconstructed"] = sets
    return facts


def _versions(sets: Sequence[pipeline.Split]) -> dict[str, Any]:
    """Of sets of files, which change; one of TensorFlow Datasets is named with its version."""
    versions = {one.name: one.version for one in sets if one.version}
    return {"versions": versions} if versions else {}


def _some(split: pipeline.Split, number: int) -> np.ndarray:
    """Images at even distances in a set, `number` or all of fewer: the first may be of one kind."""
    _, found = pipeline.at(split, division.spread(split.num_images, number))
    return found


def _paths(model: models.LikelihoodModel, sets: list[pipeline.Split], num_paths: int) -> np.ndarray:
    """See `sample`."""
    paths = np.full((len(sets), num_paths, _NUM_STEPS, *model.image_shape), 255, np.uint8)
    steps = np.linspace(0.0, 1.0, _NUM_STEPS, dtype=np.float32)[:, np.newaxis]
    ends = [_some(split, 2 * num_paths) for split in sets]
    pairs = [len(images) // 2 for images in ends]
    if not sum(pairs):
        return paths
    # Of all sets at once: to start each of some thousand small operations takes longer than it.
    together = [images[: 2 * number] for images, number in zip(ends, pairs, strict=True)]
    latents = model.encode(np.concatenate(together)).numpy()[:, np.newaxis]
    between = latents[::2] + steps * (latents[1::2] - latents[::2])
    decoded = model.decode(between.reshape(-1, latents.shape[-1])).numpy()
    decoded = decoded.reshape(-1, *paths.shape[2:])
    for of_set, found in zip(paths, np.split(decoded, np.cumsum(pairs)[:-1]), strict=True):
        of_set[: len(found)] = found
    return paths


def _reconstructions(model: models.LikelihoodModel, sets: list[pipeline.Split]) -> np.ndarray:
    """See `sample`."""
    pairs = np.full((len(sets), 2, _NUM_RECONSTRUCTED, *model.image_shape), 255, np.uint8)
    for pair, split in zip(pairs, sets, strict=True):
        some = _some(split, _NUM_RECONSTRUCTED)
        pair[0, : len(some)] = some
        pair[1, : len(some)] = model.reconstruct(some)
    return pairs
