"""What detectors' statistics cost: python -m tests.benchmarks.scoring [WORD]

Images/s of scoring with everything that the score table holds, against the likelihood and Pillow's
PNG alone, one after the other, as scoring was before there were detectors. Weights are untrained;
the images are real, of sets that --mode=prepare of configs/paper.py:glow,PAIR fetches. With a word
those cases alone whose name has it, such as "hidden 64".
"""

import io
import json
import sys
from collections.abc import Callable

import numpy as np
import PIL.Image
import tensorflow as tf

from tests.benchmarks.timing import interleaved_seconds
from tfp_ood import devices, models
from tfp_ood.config import Config, DataConfig, from_config_dict
from tfp_ood.data import pipeline
from tfp_ood.evaluation import evaluate, images
from tfp_ood.experiments import experiment

BATCH = 250


def cases() -> dict[str, Config]:
    """Both sizes of Glow of the speed table, and the small experiments of each family.

    Scoring takes as many draws of noise as their configs say.
    """
    found = {}
    for hidden in (64, 256):
        config = experiment("glow", "cifar10", "small")
        config.model.update({"num_steps": 4, "num_hidden": hidden})
        found[f"glow, hidden {hidden}, 32x32x3"] = config
    for family in ("glow", "real_nvp", "pixel_cnn", "vae"):
        for pair, shape in (("fashion_mnist", "28x28x1"), ("cifar10", "32x32x3")):
            config = experiment(family, pair, "small")
            found[f"{family}, small, {shape}"] = config
    return {name: from_config_dict(config) for name, config in found.items()}


def pictures(shape: tuple[int, int, int]) -> np.ndarray:
    """Real images, since what encoders take depends on them: FashionMNIST or CIFAR-10."""
    data = DataConfig("fashion_mnist" if shape[-1] == 1 else "cifar10", image_shape=shape)
    split = pipeline.open_split(data.in_distribution, "test", data, None)
    return next(pipeline.scoring_batches(split, BATCH).as_numpy_iterator())["image"]


def before(
    model: models.LikelihoodModel, num_draws: int, batch: np.ndarray
) -> Callable[[], object]:
    """Likelihood, then PNG sizes: nothing else is computed."""
    statistics = model.scoring_function(num_draws)
    spec = tf.TensorSpec([None, *model.image_shape], tf.uint8)
    log_prob = tf.function(
        lambda given: statistics(given)["log_prob"], input_signature=[spec], autograph=False
    )

    def score() -> object:
        found = log_prob(batch).numpy()
        for image in batch:
            with io.BytesIO() as file:
                picture = image[..., 0] if image.shape[-1] == 1 else image
                PIL.Image.fromarray(picture).save(file, "PNG", compress_level=9)
        return found

    return score


def now(model: models.LikelihoodModel, num_draws: int, batch: np.ndarray) -> Callable[[], object]:
    """As `evaluation` scores: what is measured of one batch is waited for after the next."""
    scorer, measurer = evaluate.scorer(model, num_draws), images.Measurer()
    waiting = [measurer.start(batch)]

    def score() -> object:
        waiting.append(measurer.start(batch))
        found = {name: values.numpy() for name, values in scorer(batch).items()}
        return {**found, **waiting.pop(0)()}

    return score


if __name__ == "__main__":
    devices.share_cores()
    results, word = {}, " ".join(sys.argv[1:])
    for name, config in cases().items():
        if word not in name:
            continue
        model, num_draws = models.build(config), config.evaluate.num_draws
        batch = pictures(model.image_shape)
        model.initialize(batch)
        rivals = {"before": before(model, num_draws, batch), "now": now(model, num_draws, batch)}
        seconds = interleaved_seconds(rivals, rounds=8, round_seconds=1.0)
        speeds = {key: round(BATCH / value, 1) for key, value in seconds.items()}
        results[name] = {**speeds, "ratio": round(seconds["before"] / seconds["now"], 3)}
        print(name, results[name], flush=True)
    print(json.dumps(results, indent=1))
