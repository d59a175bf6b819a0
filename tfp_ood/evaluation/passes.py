"""What a model is asked of every image beyond its statistics, if the config says so.

All columns come from one reading of the images. Symmetries are those of Umapathi et al., 2023
(stirred images); gradients those of Dauncey et al., 2023, and Bergamin et al., 2022.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_ood.config import EvaluateConfig
from tfp_ood.evaluation.likelihood import Scorer
from tfp_ood.models import LikelihoodModel

Spread = Callable[[Scorer], Scorer]


def added(
    score: Scorer,
    model: LikelihoodModel,
    options: EvaluateConfig,
    spread: Spread = lambda score: score,
) -> Scorer:
    """A scorer that tells the columns of another one and, where the options ask for them, more.

    `symmetry.1` to `symmetry.7`: log p in nats of the image in other positions (`symmetric`).
    `log_gradient_norm.input` and `log_gradient.TENSOR`: see `LikelihoodModel.gradient_statistics`.

    Args:
      score: the columns that there are without.
      model: initialised, or loaded.
      options: which passes.
      spread: a function of images over devices (`strategy.spread`).
    """
    turned = spread(lambda images: {"log_prob": model.log_prob(images, options.num_draws)})
    gradients = spread(model.gradient_statistics)

    def score_more(batch: Any) -> dict[str, Any]:
        found = dict(score(batch))
        if options.symmetries:
            for number, images in symmetric(np.asarray(batch)).items():
                found[f"symmetry.{number}"] = turned(images)["log_prob"]
        if options.gradients:
            found |= gradients(batch)
        return found

    return score_more if facts(options) else score


def facts(options: EvaluateConfig) -> dict[str, bool]:
    """The further passes, for a table's metadata: none where there are none, as in older tables."""
    asked = {"symmetries": options.symmetries, "gradients": options.gradients}
    return {name: True for name, is_on in asked.items() if is_on}


def symmetric(images: np.ndarray) -> dict[int, np.ndarray]:
    """Images in all other positions that have their shape.

    Args:
      images: `[B, H, W, C]`.

    Returns:
      By number: 1 left and right exchanged, 2 top and bottom, 3 both (half a turn); and, if H is
      W, 4 transposed (rows become columns), and from there 5 left and right exchanged (a quarter
      turn clockwise), 6 top and bottom (a quarter turn the other way), 7 both.
    """
    starts = [images]
    if images.shape[1] == images.shape[2]:
        starts.append(images.swapaxes(1, 2))
    found = []
    for start in starts:
        flips = [start, start[:, :, ::-1], start[:, ::-1], start[:, ::-1, ::-1]]
        found += [np.ascontiguousarray(flipped) for flipped in flips]
    return dict(enumerate(found[1:], 1))
