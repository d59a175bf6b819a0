"""Detectors to be asked for, on every pair: python -m tests.benchmarks.asked ROOT DATA [NAME,...]

Runs are those of `tests.benchmarks.detectors`, under ROOT. A copy of each, ROOT/asked/NAME, is
scored by symmetries and gradients too, 1,000 test images of each set (of VAEs 250), and reported;
what is named and not under ROOT is trained where its copy would be. Prints what the copies'
`summary.json` say, beside what all detectors but `symmetry` say together of the same images, and
what models that differ in their seed say together, of all that ROOT has.
"""

import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from tests.benchmarks import detectors
from tests.benchmarks.detectors import auroc, label, markdown
from tfp_ood import detectors as known
from tfp_ood.evaluation.tables import ScoreTable, read_score_table
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting.ensembles import judge_ensembles
from tfp_ood.reporting.runs import read_runs
from tfp_ood.reporting.summary import Summary
from tfp_ood.workdir import WorkDir, open_workdir

NUM_TEST = 1000
NUM_TEST_OF_VAE = 250
"""One image of theirs costs 50 draws, eight times for its symmetries."""

LEFT_BEHIND = ("scores", "report", "export", "samples", "tensorboard", ".lock")
"""What a copy makes again, or has no use for."""


def judge(root: pathlib.Path, data: pathlib.Path, only: set[str]) -> None:
    """Scores and reports copies of the runs that have none, and what is named."""
    there = detectors.reported(root).keys()
    missing = (there | only) - detectors.reported(root / "asked").keys()
    for name, arguments in detectors.alone():
        if name not in missing or (only and name not in only):
            continue
        copy, modes = root / "asked" / name, ["train", "evaluate", "report"]
        if name in there:
            modes.remove("train")
            left = shutil.ignore_patterns(*LEFT_BEHIND)
            shutil.copytree(root / name, copy, ignore=left, dirs_exist_ok=True)
        num_test = NUM_TEST_OF_VAE if name.startswith("vae") else NUM_TEST
        wanted = [
            *(one for one in detectors.placed(arguments, root, data) if "num_test" not in one),
            "--config.evaluate.symmetries=true",
            "--config.evaluate.gradients=true",
            f"--config.data.num_test={num_test}",
        ]
        for mode in modes:
            command = [sys.executable, "main.py", f"--workdir={copy}", f"--mode={mode}", *wanted]
            print(shlex.join(command), file=sys.stderr, flush=True)
            subprocess.run(command, cwd=detectors.ROOT, check=True, stdout=sys.stderr)


def table(root: pathlib.Path) -> str:
    """Markdown: AUROC by detector and what the guard flags, of all copies under ROOT/asked."""
    used = ("log_prob", "symmetry", "gradient", "input_gradient")
    rows = []
    for name, found in detectors.reported(root / "asked").items():
        unasked = without_symmetry(root / "asked" / name, found)
        for key, entry in found.datasets.items():
            about = [name, label(entry.label), f"{entry.num_images:,}"]
            before, after = f"{unasked[key][1]:.1%}", f"{entry.flagged:.1%}"
            if entry is found.in_set:
                rows.append(
                    [f"{name} (own)", *about[1:], *[""] * (len(used) + 1), before, "", after]
                )
                continue
            singly = [auroc(entry, one) for one in used]
            joined = auroc(entry, known.COMBINED)
            rows.append([*about, *singly, f"{unasked[key][0]:.3f}", before, joined, after])
    words = [one.replace("_", " ") for one in used]
    with_it = ["combined", "flagged", "combined, with symmetry", "flagged, with it"]
    return markdown(["run", "set", "images", *words, *with_it], rows)


def without_symmetry(place: pathlib.Path, found: Summary) -> dict[str, tuple[float, float]]:
    """Of each set of a copy the AUROC of all detectors but `symmetry` together, on the same images,
    and the share that their guard flags."""
    workdir = open_workdir(place)
    own, *foreign = [_unturned(workdir, *key.rsplit("/", 1)) for key in found.datasets]
    held_out = _unturned(workdir, found.in_distribution, "validation")
    guard = known.panel([held_out], [own, *foreign], found.false_alarm_rate).guard
    of_own = guard.judge([own])
    shares = {}
    for key, table in zip(found.datasets, [own, *foreign], strict=True):
        of_set = guard.judge([table])
        share = float(np.mean(of_set.flagged))
        shares[key] = (detection_metrics(of_own.score, of_set.score)["auroc"], share)
    return shares


def _unturned(workdir: WorkDir, name: str, split: str) -> ScoreTable:
    """A score table without the columns of symmetries."""
    scores = read_score_table(workdir.score_table(name, split))
    return scores.without(one for one in scores.statistics if one.startswith("symmetry"))


def ensembles(root: pathlib.Path) -> str:
    """Markdown: AUROC of each seed alone and of all together, of all Glows under ROOT."""
    runs = [root / name for name in detectors.reported(root) if name.startswith("glow")]
    joint = tuple(known.of_ensembles())
    found = judge_ensembles(read_runs(runs)) if runs else []
    header = ["runs", "foreign set", "each alone", *joint]
    return markdown(header, [row for one in found for row in _rows(one, joint)])


def _rows(one: dict, joint: Sequence[str]) -> Iterator[list[str]]:
    """Of one ensemble."""
    for key, scores in one["sets"].items():
        alone = [about["auroc"] for name, about in scores.items() if name not in joint]
        together = [f"{scores[name]['auroc']:.3f}" for name in joint]
        of_each = f"{min(alone):.3f} to {max(alone):.3f}"
        yield [
            f"{len(alone)} of {one['members'][0]}",
            label(one["labels"][key]),
            of_each,
            *together,
        ]


def main(arguments: Sequence[str]) -> None:
    """Makes what is missing, and prints."""
    root, data, names = detectors.places(arguments)
    judge(root, data, names)
    print(table(root))
    print("\nAUROC of several seeds together:\n")
    print(ensembles(root))


if __name__ == "__main__":
    main(sys.argv[1:])
