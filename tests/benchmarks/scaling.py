"""What scoring costs as images and models grow: `python -m tests.benchmarks.scaling [PNG]`.

Prints JSON and draws it, by default to docs/images/scoring_cost.png. The small model of each family
of 32x32x3, 64x64x3 and 128x128x3, and Glows of about 1 to 8 million weights of 32x32x3. Random
uint8 images in batches of the size that scoring takes by itself (`Config.scoring_batch_size`), at
most 64, of one draw of noise; weights are the initial ones, on which the cost does not depend. All
models take turns in one process. Give the machine nothing else to do.

  --rounds=5 --round_seconds=1.0   how often and how long each is timed; medians are drawn
  --sides=32,64,128                of images
  --hidden=90,157,260,415          channels of the Glows, of 3 levels x 8 steps
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from tests.benchmarks import machine, timing
from tfp_ood import devices, models
from tfp_ood.config import Config, from_config_dict
from tfp_ood.experiments import experiment
from tfp_ood.families import MODEL_CONFIGS
from tfp_ood.reporting import figures

PLOT = pathlib.Path(__file__).parents[2] / "docs" / "images" / "scoring_cost.png"
MOST_IMAGES = 64
GLOW_STEPS = 8
_MILLION = 1e6


def of_images(side: int, family: str) -> Config:
    """The family's small model, of images with that side."""
    config = experiment(family, "cifar10", "small")
    config.data.image_shape = (side, side, 3)
    return from_config_dict(config)


def of_models(hidden: int) -> Config:
    """A Glow of the paper's depth, with that many channels."""
    config = experiment("glow", "cifar10", "small")
    config.model.update({"num_steps": GLOW_STEPS, "num_hidden": hidden})
    return from_config_dict(config)


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Scores a batch of random images."""

    model: models.LikelihoodModel
    batch: np.ndarray

    def __call__(self) -> object:
        return self.model.log_prob(self.batch).numpy()


def scorer(config: Config) -> Scorer:
    """Of a config's model with initial weights."""
    model, shape = models.build(config), config.data.image_shape
    count = min(config.scoring_batch_size, MOST_IMAGES)
    batch = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    model.initialize(batch[:8])
    return Scorer(model, batch)


def measure(
    scorers: dict[tuple[str, int], Scorer], time: Callable[[dict], dict]
) -> list[dict[str, Any]]:
    """A row for each: what it is of, its number, weights, images a call and ms an image.

    Args:
      scorers: by a name and a number.
      time: functions by name to seconds by name.
    """
    seconds = time({json.dumps(key): one for key, one in scorers.items()})
    return [
        {
            "of": name,
            "number": number,
            "num_parameters": one.model.num_parameters(),
            "batch": len(one.batch),
            "milliseconds": 1e3 * seconds[json.dumps((name, number))] / len(one.batch),
        }
        for (name, number), one in scorers.items()
    ]


def exponents(rows: Sequence[dict[str, Any]], along: Callable[[dict], float]) -> dict[str, float]:
    """The slope of log milliseconds by what grows, of each name with two rows or more: 1 is linear.

    Args:
      rows: of `measure`.
      along: what grows, of a row.
    """
    found = {}
    for name in dict.fromkeys(row["of"] for row in rows):
        own = [row for row in rows if row["of"] == name]
        if len(own) > 1:
            sizes = np.log([along(row) for row in own])
            found[name] = round(
                float(np.polyfit(sizes, np.log([row["milliseconds"] for row in own]), 1)[0]), 2
            )
    return found


def pixels(row: dict[str, Any]) -> float:
    """Of an image of the row."""
    return row["number"] ** 2


def weights(row: dict[str, Any]) -> float:
    """Of the model of the row."""
    return row["num_parameters"]


def draw(
    by_image: Sequence[dict[str, Any]], by_model: Sequence[dict[str, Any]], path: pathlib.Path
) -> None:
    """Both as curves beside each other, on logarithmic axes."""
    figure = figures.new(9, 4)
    left, right = figure.subplots(1, 2)
    parts = [
        (left, by_image, lambda row: row["number"], "side of the image (pixels)"),
        (right, by_model, lambda row: weights(row) / _MILLION, "weights of a Glow (millions)"),
    ]
    for axes, rows, along, words in parts:
        for number, name in enumerate(dict.fromkeys(row["of"] for row in rows)):
            own = [row for row in rows if row["of"] == name]
            look = {"color": figures.COLORS[number], "linestyle": figures.LINES[number]}
            axes.loglog(
                [along(row) for row in own],
                [row["milliseconds"] for row in own],
                marker=figures.MARKERS[number],
                label=MODEL_CONFIGS[name].title,
                **look,
            )
        ticks = sorted({along(row) for row in rows})
        axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set(xlabel=words, ylabel="scoring an image (ms)")
        axes.grid(visible=True, color="#dddddd", linewidth=0.8)
        axes.spines[["right", "top"]].set_visible(False)
    left.legend(frameon=False)
    figure.savefig(path, dpi=100)


def main(words: Sequence[str]) -> None:
    """Measures, draws and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling")
    parser.add_argument("png", nargs="?", type=pathlib.Path, default=PLOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round_seconds", type=float, default=1.0)
    parser.add_argument("--sides", default="32,64,128")
    parser.add_argument("--hidden", default="90,157,260,415")
    given = parser.parse_args(words)
    devices.share_cores()
    time = functools.partial(
        timing.interleaved_seconds, rounds=given.rounds, round_seconds=given.round_seconds
    )
    by_image = measure(
        {
            (family, side): scorer(of_images(side, family))
            for family in MODEL_CONFIGS
            for side in map(int, given.sides.split(","))
        },
        time,
    )
    by_model = measure(
        {
            ("glow", hidden): scorer(of_models(hidden))
            for hidden in map(int, given.hidden.split(","))
        },
        time,
    )
    draw(by_image, by_model, given.png)
    found = {
        "machine": machine.facts(),
        "rounds": given.rounds,
        "by_image": by_image,
        "exponents_by_pixels": exponents(by_image, pixels),
        "by_model": by_model,
        "exponents_by_weights": exponents(by_model, weights),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
