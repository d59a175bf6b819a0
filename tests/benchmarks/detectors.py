"""Every detector on every pair of the small models: python -m tests.benchmarks.detectors ROOT DATA

Trains, scores and reports what is missing under ROOT, one run after the other (hours on two cores),
then prints the tables of docs/detectors.md, made of the runs' `summary.json`; docs/results.md and
the README show rows of these.
DATA is a folder with the files of `LABELS`: uint8 [N, H, W, C], of which those that end on `train`
stand for a set that is trained on. With a third argument only runs that it names, such as
glow_fashion_mnist,vae_cifar10, are made, and only their false alarms are counted; the other tables
show what there is. Runs of Glow from other seeds are called glow_cifar10_seed1, and its
longer trainings glow_cifar10_longer.
"""

import dataclasses
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from tfp_ood import detectors
from tfp_ood.detectors import conformal
from tfp_ood.evaluation.tables import read_score_table
from tfp_ood.families import MODEL_CONFIGS
from tfp_ood.reporting import summary
from tfp_ood.reporting.summary import SetSummary, Summary
from tfp_ood.workdir import open_workdir

ROOT = pathlib.Path(__file__).parents[2]

LABELS = {
    "svhn_cropped_test": "SVHN",
    "celeb_a32_test": "CelebA",
    "tiny_imagenet32_test": "Tiny ImageNet",
    "cifar100_part": "CIFAR-100",
    "not_mnist_test": "notMNIST",
    "celeb_a32_train": "CelebA",
    "tiny_imagenet32_train": "Tiny ImageNet",
}
"""Array files -> what they hold."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A set to train on, what is judged against it, and the pair of `paper.py` that is nearest."""

    name: str
    pair: str
    own: str
    foreign: tuple[str, ...]


PAIRS = (
    Pair("fashion_mnist", "fashion_mnist", "fashion_mnist", ("mnist", "not_mnist_test")),
    Pair("mnist", "fashion_mnist", "mnist", ("fashion_mnist", "not_mnist_test")),
    Pair("cifar10", "cifar10", "cifar10",
         ("svhn_cropped_test", "celeb_a32_test", "tiny_imagenet32_test", "cifar100_part")),
    Pair("svhn", "cifar10", "svhn_cropped_test", ("cifar10",)),
    Pair("celeb_a", "celeb_a", "celeb_a32_train", ("svhn_cropped_test",)),
    Pair("imagenet", "imagenet32", "tiny_imagenet32_train",
         ("cifar10", "cifar100_part", "svhn_cropped_test")),
)  # fmt: skip

SEEDS = (0, 1, 2)
"""Of Glow; other families have one."""

LONGER = {"fashion_mnist": 15_000, "cifar10": 5_000}
"""Pair -> steps of its longer training, of a Glow of twice the hidden channels."""

REFERENCES = {"quickstart": "background", "glow_cifar10": "glow_imagenet"}
"""What is asked for the likelihood ratio: a model of mutated images, and one of general ones."""


def runs() -> Iterator[tuple[str, list[str]]]:
    """The name of each run and the arguments of its command, arrays as array:NAME.npy, and a
    reference, which is made before, as runs/NAME."""
    for name, arguments in alone():
        reference = REFERENCES.get(name)
        yield name, [*arguments, *([f"--reference=runs/{reference}"] if reference else [])]


def alone() -> Iterator[tuple[str, list[str]]]:
    """The same runs without references."""
    quick = Pair("quickstart", "", "fashion_mnist", ("mnist", "not_mnist_test"))
    back = Pair("quickstart_mnist", "", "mnist", ("fashion_mnist", "not_mnist_test"))
    mutated = ["--config=configs/quickstart.py", "--config.train.mutation_rate=0.2"]
    yield "background", [*mutated, "--config.data.out_of_distribution=mnist"]
    for pair in (quick, back):
        yield pair.name, ["--config=configs/quickstart.py", *_sets(pair)]
    for pair in PAIRS:
        for family in MODEL_CONFIGS:
            config = f"--config=configs/paper.py:{family},{pair.pair},small"
            further = ["--config.data.num_test=1000"] if family == "vae" else []
            for seed in SEEDS if family == "glow" else SEEDS[:1]:
                of_seed = [f"--config.seed={seed}"] if seed else []
                yield _name(family, pair, seed), [config, *_sets(pair), *further, *of_seed]
    for pair in (pair for pair in PAIRS if pair.name in LONGER):
        larger = ["--config.model.num_hidden=128", "--config.train.learning_rate=3e-3"]
        steps = f"--config.train.num_steps={LONGER[pair.name]}"
        config = f"--config=configs/paper.py:glow,{pair.pair},small"
        yield f"glow_{pair.name}_longer", [config, *_sets(pair), *larger, steps]


def _name(family: str, pair: Pair, seed: int) -> str:
    """Of a run."""
    return f"{family}_{pair.name}" + (f"_seed{seed}" if seed else "")


def _sets(pair: Pair) -> list[str]:
    def named(name: str) -> str:
        return f"array:{name}.npy" if name in LABELS else name

    foreign = ",".join(map(named, pair.foreign))
    return [
        f"--config.data.in_distribution={named(pair.own)}",
        f"--config.data.out_of_distribution={foreign}",
    ]


def places(words: Sequence[str]) -> tuple[pathlib.Path, pathlib.Path, set[str]]:
    """ROOT, DATA and the names of runs, from the command line."""
    root, data = (pathlib.Path(path).absolute() for path in words[:2])
    return root, data, {name for name in ",".join(words[2:]).split(",") if name}


def make(root: pathlib.Path, data: pathlib.Path, only: set[str]) -> None:
    """Makes the runs whose report is missing."""
    for name, arguments in sorted(runs(), key=lambda run: run[0] in REFERENCES):
        if (only and name not in only) or (root / name / "report" / "summary.json").exists():
            continue
        wanted = placed(arguments, root, data)
        command = [sys.executable, "main.py", f"--workdir={root / name}", *wanted]
        print(shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def placed(arguments: Sequence[str], root: pathlib.Path, data: pathlib.Path) -> list[str]:
    """Arguments of `runs`, with arrays under DATA and references under ROOT."""
    return [
        one.replace("array:", f"array:{data}/").replace("=runs/", f"={root}/") for one in arguments
    ]


def reported(root: pathlib.Path) -> dict[str, Summary]:
    """The runs under ROOT that have a report, by name."""
    return {
        name: summary.read(path)
        for name, _ in runs()
        if (path := root / name / "report" / "summary.json").exists()
    }


def tables(root: pathlib.Path) -> str:
    """Markdown: AUROC by detector, what the guard flags, and the commands."""
    found = reported(root)
    used = [
        name
        for name in detectors.DETECTORS
        if any(name in one.detector_names for one in found.values())
    ]
    header = ["run", "foreign set", *(name.replace("_", " ") for name in used)]
    aurocs = [
        [name, label(entry.label), *(auroc(entry, used_name) for used_name in used)]
        for name, one in found.items()
        for entry in one.out_sets
    ]
    flagged = [row for name, one in found.items() for row in _flagged(name, one)]
    commands = [
        f"python main.py --workdir=runs/{name} "
        + shlex.join(arguments if "ratio" in found[name].detector_names else without)
        for (name, arguments), (_, without) in zip(runs(), alone(), strict=True)
        if name in found
    ]
    return "\n\n".join([
        "AUROC, with half the width of its 95 % bootstrap interval over images:",
        markdown(header, aurocs),
        "Bits/dim of own and foreign test images, AUROC and share flagged; of several "
        "seeds mean and range:",
        pairs_table(found),
        "Share flagged at 5 % of false alarms, with its 95 % interval over images:",
        markdown(["run", "set", "images", "by the guard", "by low likelihood"], flagged),
        "```sh\n" + "\n".join(commands) + "\n```",
    ])  # fmt: skip


def pairs_table(found: Mapping[str, Summary]) -> str:
    """Markdown: each family on each pair, over its seeds."""
    rows = []
    for pair in PAIRS:
        for family in MODEL_CONFIGS:
            seeds = [found[n] for s in SEEDS if (n := _name(family, pair, s)) in found]
            for place in range(len(pair.foreign) if seeds else 0):
                entries = [one.out_sets[place] for one in seeds]
                columns = [
                    ("{:.2f}", [one.in_set.bits_per_dim_mean for one in seeds]),
                    ("{:.2f}", [entry.bits_per_dim_mean for entry in entries]),
                    ("{:.3f}", [entry.likelihood["auroc"] for entry in entries]),
                    ("{:.3f}", [entry.combined["auroc"] for entry in entries]),
                    ("{:.1%}", [entry.flagged for entry in entries]),
                ]
                about = [label(seeds[0].in_set.label), label(entries[0].label), family, len(seeds)]
                rows.append([*map(str, about), *(_over_seeds(*column) for column in columns)])
    header = ["trained on", "judged on", "family", "seeds", "own bits/dim", "foreign bits/dim",
              "AUROC, likelihood", "AUROC, combined", "flagged by the guard"]  # fmt: skip
    return markdown(header, rows)


def _over_seeds(form: str, values: Sequence[float]) -> str:
    """Their mean and, of several, their range."""
    mean, low, high = (form.format(f(values)) for f in (np.mean, min, max))
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def false_alarms(root: pathlib.Path, only: set[str]) -> str:
    """Markdown: what the guard flags of own test images, over random halves of the held-out ones.

    Beside it is the 95 % interval of one such share if all images were from one source: the
    threshold is from few images, and the share of few.
    """
    rows = []
    for name, _ in runs():
        path = root / name / "report" / "summary.json"
        if (only and name not in only) or not path.exists():
            continue
        places, own = open_workdir(root / name), summary.read(path).in_distribution
        test = read_score_table(places.score_table(own, "test"))
        held_out = read_score_table(places.score_table(own, "validation"))
        panels = [detectors.panel([held_out], [test], seed=seed) for seed in range(20)]
        tests = [panel.guard.combined for panel in panels]
        scores = [one.detector.score([test]) for one in tests]
        row = [name]
        for rate in (0.01, 0.05, 0.10):
            calibrations = [
                dataclasses.replace(one.calibration, false_alarm_rate=rate) for one in tests
            ]
            shares = [
                np.mean(conformal.verdicts(one, found)["is_out_of_distribution"])
                for one, found in zip(calibrations, scores, strict=True)
            ]
            calibration = calibrations[0]
            rank = calibration.most_flagged
            expected = stats.betabinom(test.num_images, rank, calibration.num_images + 1 - rank)
            low, high = expected.ppf([0.025, 0.975]) / test.num_images
            inside = sum(low <= share <= high for share in shares)
            row.append(
                f"{np.mean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}); {inside} of "
                f"20 in {low:.1%} to {high:.1%}"
            )
        rows.append(row)
    return markdown(["run", "at 1 %", "at 5 %", "at 10 %"], rows)


def label(text: str) -> str:
    """What an array is called by what it holds."""
    return next((words for name, words in LABELS.items() if name in text), text)


def auroc(entry: SetSummary, detector: str) -> str:
    """With half the width of its interval; empty where the detector is not there."""
    if detector not in entry.scores:
        return ""
    metrics = entry.scores[detector]
    low, high = metrics["auroc_interval"]
    return f"{metrics['auroc']:.3f} ±{(high - low) / 2:.3f}"


def _flagged(name: str, one: Summary) -> Iterator[list[str]]:
    for entry in (one.in_set, *one.out_sets):
        if entry.flagged is None:
            continue
        low, high = entry.flagged_interval
        own = " (own)" if entry is one.in_set else ""
        yield [
            name,
            label(entry.label) + own,
            f"{entry.num_images:,}",
            f"{entry.flagged:.1%} ({low:.1%} to {high:.1%})",
            f"{entry.flagged_by_likelihood:.1%}",
        ]


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    place, data_folder, names = places(sys.argv[1:])
    make(place, data_folder, names)
    print(tables(place))
    print("\nShare of own test images that the guard flags, over 20 random halves:\n")
    print(false_alarms(place, names))
