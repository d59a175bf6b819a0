"""What detectors' statistics cost: python -m tests.benchmarks.scoring [WORD]

Images/s of scoring with everything that the score table holds, against the likelihood and Pillow's
PNG alone, one after the other, as scoring was before there were detectors. Weights are untrained;
the images are real, of sets that --mode=prepare of configs/paper.py:glow,PAIR fetches. With a word
those cases alone whose name has it, such as "hidden 64".
"""

import functools
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
ROUNDS = 12


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
) -> Callable[[int], None]:
    """Likelihood, then PNG sizes of so many batches: nothing else is computed."""
    statistics = model.scoring_function(num_draws)
    spec = tf.TensorSpec([None, *model.image_shape], tf.uint8)
    log_prob = tf.function(
        lambda given: statistics(given)["log_prob"], input_signature=[spec], autograph=False
    )

    def score(num_batches: int) -> None:
        for _ in range(num_batches):
            log_prob(batch).numpy()
            for image in batch:
                with io.BytesIO() as file:
                    picture = image[..., 0] if image.shape[-1] == 1 else image
                    PIL.Image.fromarray(picture).save(file, "PNG", compress_level=9)

    return score


def now(
    model: models.LikelihoodModel, num_draws: int, batch: np.ndarray, of_many: bool
) -> Callable[[int], None]:
    """As `evaluation` scores on a CPU, where nothing is gained by waiting a batch later.

    Args:
      of_many: as if there were many images.
    """
    scorer = evaluate.scorer(model, num_draws, of_many=of_many)

    def score(num_batches: int) -> None:
        for _ in range(num_batches):
            scores = scorer(batch)
            images.columns(batch)
            for values in scores.values():
                np.asarray(values)

    return score


def measured(config: Config) -> dict[str, float]:
    """Images/s of each way, and the ratio of the others to the first."""
    model, num_draws = models.build(config), config.evaluate.num_draws
    batch = pictures(model.image_shape)
    model.initialize(batch)
    ways = {
        "before": before(model, num_draws, batch),
        "now": now(model, num_draws, batch, False),
        "of_many": now(model, num_draws, batch, True),
    }
    one = interleaved_seconds({"one": lambda: ways["before"](1)}, rounds=1)["one"]
    num_batches = max(1, round(1 / one))  # about a second of them
    rivals = {name: functools.partial(score, num_batches) for name, score in ways.items()}
    seconds = interleaved_seconds(rivals, ROUNDS)
    speeds = {key: round(BATCH * num_batches / value, 1) for key, value in seconds.items()}
    ratios = {
        f"ratio_{key}": round(seconds["before"] / seconds[key], 3) for key in ("now", "of_many")
    }
    return speeds | ratios


if __name__ == "__main__":
    devices.share_cores()
    results, word = {}, " ".join(sys.argv[1:])
    for name, config in cases().items():
        if word in name:
            results[name] = measured(config)
            print(name, results[name], flush=True)
    print(json.dumps(results, indent=1))
