"""How often --mode=monitor says drift: of own test images, and with foreign ones among them.

  python -m tests.benchmarks.monitor runs/quickstart

Reads the score tables of a run. In every draw some own test images, without replacement, are the
new ones, of which a share is replaced by images of a foreign set; they are compared with the other
own test images.
"""

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np

from tfp_ood import detectors
from tfp_ood.config import MonitorConfig
from tfp_ood.detectors import drift
from tfp_ood.evaluation.tables import ScoreTable, read_score_table

SIZES = (200, 1_000)
SHARES = (0.03, 0.05, 0.1)
DEFAULTS = MonitorConfig()


def share_of_drift(
    own: tuple[np.ndarray, np.ndarray],
    foreign: tuple[np.ndarray, np.ndarray] | None,
    size: int,
    share: float,
    num_draws: int,
    level: float = DEFAULTS.level,
) -> float:
    """The share of draws of which drift is said.

    Args:
      own: scores of the own test images, and which of them the guard flags.
      foreign: the same of a foreign set, or None.
      size: images in a draw.
      share: of them that are foreign.
      num_draws: seeded.
      level: of the tests.
    """
    rng, found = np.random.default_rng(0), 0
    for _ in range(num_draws):
        order = rng.permutation(len(own[0]))
        new, rest = ([part[some] for part in own] for some in (order[:size], order[size:]))
        if foreign:
            some = rng.permutation(len(foreign[0]))[: round(share * size)]
            for part, others in zip(new, foreign, strict=True):
                part[: len(some)] = others[some]
        flagged = int(new[1].sum()), int(rest[1].sum())
        rate = DEFAULTS.false_discovery_rate
        found += drift.compare(new[0], rest[0], flagged, level, rate).is_drift
    return found / num_draws


def judged(
    held_out: ScoreTable, tables: Sequence[ScoreTable], rate: float = 0.05
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and flags of the images of tables, by the guard of the run."""
    guard = detectors.panel([held_out], tables, rate).guard
    found = [guard.judge([table]) for table in tables]
    return [(one.score, one.flagged) for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workdir")
    parser.add_argument("--draws", type=int, default=1_000)
    args = parser.parse_args()
    paths = sorted(pathlib.Path(args.workdir, "scores").glob("*.parquet"))
    tables = [read_score_table(path) for path in paths]
    held_out = next(table for table in tables if table.split == "validation")
    others = [table for table in tables if table is not held_out]
    others.sort(key=lambda table: table.dataset != held_out.dataset)
    own, *foreign = judged(held_out, others)
    print(f"own {others[0].key}: {len(own[0]):,} images, flagged {own[1].mean():.1%}")
    for size in SIZES:
        if 2 * size > len(own[0]):
            continue
        found = share_of_drift(own, None, size, 0.0, args.draws)
        print(f"{size:6,} own images: drift in {found:.1%} of {args.draws:,} draws")
        for table, one in zip(others[1:], foreign, strict=True):
            shares = {share: share_of_drift(own, one, size, share, args.draws) for share in SHARES}
            told = ", ".join(f"{found:.1%} at {share:.0%}" for share, found in shares.items())
            print(f"{size:6,} with {table.key}: {told}; all of it flagged {one[1].mean():.1%}")


if __name__ == "__main__":
    main()
