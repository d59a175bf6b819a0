"""Classifiers x turned digits and foreign sets -> prediction tables (see `predictions`)."""

import numpy as np
import tqdm

from tfp_ood.config import fingerprint
from tfp_ood.data import pipeline
from tfp_ood.evaluation import tables
from tfp_ood.keras import keras
from tfp_ood.rotated import classify, predictions
from tfp_ood.rotated.config import NUM_CLASSES, RotatedConfig
from tfp_ood.rotated.images import load_images, version_of
from tfp_ood.rotated.lenet import LeNet
from tfp_ood.rotated.predictions import Predictions
from tfp_ood.workdir import WorkDir


def evaluate(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    """Writes the two tables of every variant that are missing or not current.

    Raises:
      UserError: a network is missing or of another config, or images do not fit.
    """
    workdir.check(config)
    splits = pipeline.open_sets(config.data, data_dir)
    workdir.check_images(version_of(splits[0]))
    asked = turned, _ = load_images(config, splits)
    data, settings = config.data, config.evaluate
    for variant in config.model.variants:
        networks = classify.networks(variant, config)
        facts = {
            "variant": variant,
            "config_hash": fingerprint(config.training_facts()),
            "num_draws": settings.num_draws,
            "seed": config.seed,
            "weights": classify.weights(networks, workdir),
            "networks": [classify.training_facts(network, workdir) for network in networks],
        }
        members = []
        for part in asked:
            path = predictions.table_path(workdir.root, variant, part.kind)
            metadata = {**facts, **part.facts}
            if tables.has_metadata(path, metadata):
                continue
            members = members or [classify.load_trained(n, config, workdir) for n in networks]
            keras.utils.set_random_seed(config.seed)
            title = f"{variant}, {part.kind}"
            probabilities = predictive(
                members, part.images, settings.num_draws, settings.batch_size, title
            )
            predictions.write(path, Predictions(part.keys, probabilities, metadata))
            print(f"predicted {len(part.images):,} images ({title}): {path}")
    shape = (len(data.digits), data.num_rotated, data.num_angles, *data.image_shape)
    predictions.write_pictures(workdir.root, turned.images.reshape(shape), turned.facts)


def predictive(
    networks: list[LeNet], images: np.ndarray, num_draws: int, batch_size: int, title: str = ""
) -> np.ndarray:
    """Class probabilities averaged over networks and over draws of their weights.

    `p(y|x) = 1/(M S) sum_m sum_s softmax(f_ms(x))_y`

    Args:
      networks: M of them.
      images: uint8 [N, H, W, 1].
      num_draws: S; networks whose weights are fixed are asked once.
      batch_size: images at a time.
      title: of the progress bar.

    Returns:
      float64 [N, 10].
    """
    rounds = [n for n in networks for _ in range(num_draws if n.is_stochastic else 1)]
    mean = np.zeros((len(images), NUM_CLASSES))
    with tqdm.tqdm(
        total=len(images) * len(rounds), desc=title, unit=" images", leave=False, delay=1
    ) as bar:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            for network in rounds:
                mean[start : start + batch_size] += network.draw(batch).numpy()
                bar.update(len(batch))
    return mean / mean.sum(axis=-1, keepdims=True)  # each draw sums to 1 but for rounding
