"""What the monitor found, in sentences."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_ood.config import MonitorConfig
from tfp_ood.detectors import drift
from tfp_ood.detectors.conformal import Calibration
from tfp_ood.detectors.drift import Drift
from tfp_ood.detectors.guard import Judgement
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting import reasons, shares
from tfp_ood.reporting.shares import percent, rate

_TESTS = {
    drift.FLAGS: "more of them are flagged",
    drift.SCORES: "their scores are of another distribution",
}
_LEAST_P = 1e-4
_MOST_LISTED = 1_000  # images, in monitor.json


@dataclasses.dataclass(frozen=True)
class Found:
    """New images beside own test images."""

    new_label: str
    own_label: str
    new: Judgement
    own: Judgement
    calibration: Calibration
    """Of the guard."""
    drift: Drift
    config: MonitorConfig
    weights: str
    """`weights_id` of the model."""
    num_there: int
    """New images in all; with `data.num_test` some of them, chosen at random, are judged."""
    of_files: list[str]
    """What to know of the files of the new images, in sentences."""

    @property
    def expected(self) -> tuple[int, int]:
        """95 % range of the number of new images that a guard flags where all are own ones."""
        return drift.expected_flagged(self.calibration, self.num_new)

    @property
    def num_new(self) -> int:
        """M."""
        return len(self.new.score)

    @property
    def num_own(self) -> int:
        """N."""
        return len(self.own.score)

    @property
    def num_flagged(self) -> int:
        """Of the new images."""
        return int(np.sum(self.new.flagged))

    @property
    def num_own_flagged(self) -> int:
        """Of the own test images."""
        return int(np.sum(self.own.flagged))

    @property
    def smallest_share(self) -> float | None:
        """`drift.smallest_share` of so many images."""
        return drift.smallest_share(
            self.num_new, self.num_own_flagged, self.num_own, self.config.level
        )

    @property
    def auroc(self) -> float:
        """Chance that a new image is more unusual than an own one."""
        return detection_metrics(self.own.score, self.new.score)["auroc"]


def sentences(found: Found) -> list[str]:
    """The outcome: the verdict, the flags, the named images, and what to know of all that."""
    return [_verdict(found), _flags(found), _named(found), *_cautions(found)]


def p_value(value: float) -> str:
    """Two digits, and a bound where that is all that matters."""
    return f"{value:.2g}" if value >= _LEAST_P else f"< {_LEAST_P:.4f}"


def _verdict(found: Found) -> str:
    level = f"at a level of {rate(found.config.level)}"
    tests = f"{_p(found, drift.FLAGS)} for the flags, {_p(found, drift.SCORES)} for the scores"
    if not found.drift.is_drift:
        return (
            f"No drift: the {found.num_new:,} images of {found.new_label} are like test images of "
            f"{found.own_label} {level} ({tests})."
        )
    why = " and ".join(_TESTS[name] for name in found.drift.found)
    return (
        f"Drift: the {found.num_new:,} images of {found.new_label} are not like test images of "
        f"{found.own_label} {level}: {why} ({tests})."
    )


def _p(found: Found, name: str) -> str:
    """The p-value of a test, in a sentence."""
    value = p_value(found.drift.p_values[name])
    return f"p {value}" if value.startswith("<") else f"p = {value}"


def _flags(found: Found) -> str:
    share = percent(found.num_flagged / found.num_new, 1)
    asked = rate(found.calibration.false_alarm_rate)
    low, high = found.expected
    fits = "fits" if low <= found.num_flagged <= high else "does not fit"
    return (
        f"The guard flags {share} of them ({between(found.new.share_flagged_interval)}) and "
        f"{percent(float(np.mean(found.own.flagged)), 1)} of the own test images; that {fits} a "
        f"false-alarm rate of {asked}, at which {low:,} to {high:,} of {found.num_new:,} own "
        f"images are flagged, given {found.calibration.num_images:,} that set the threshold."
    )


def between(interval: tuple[float, float]) -> str:
    """An interval of a share, in percent."""
    return f"95 % interval {shares.between(interval)}"


def _named(found: Found) -> str:
    most, number = rate(found.config.false_discovery_rate), len(found.drift.named)
    if number:
        images = "1 image is" if number == 1 else f"{number:,} images are"
        return f"{images} named as foreign, of which at most {most} are own ones on average."
    needed = drift.fewest_beyond(found.num_new, found.num_own, found.config.false_discovery_rate)
    if needed > found.num_new:
        return (
            f"No single image is named as foreign: with only {found.num_own:,} own test images "
            f"none of {found.num_new:,} can be, where at most {most} may be own ones."
        )
    if needed > 1:
        return (
            f"No single image is named as foreign: at most {most} of those that are named may be "
            f"own ones, and with {found.num_own:,} own test images it takes {needed:,} at once "
            "that are more unusual than all of them."
        )
    return (
        "No single image is named as foreign: wherever the line is drawn, more than "
        f"{most} of the images beyond it may be own ones."
    )


def _cautions(found: Found) -> list[str]:
    said = [*found.of_files]
    if found.num_there > found.num_new:
        said.append(
            f"Caution: {found.num_new:,} of the {found.num_there:,} images were judged, chosen at "
            "random (config.data.num_test)."
        )
    few, share = found.num_new < drift.FEW, found.smallest_share
    of_number = [f"Caution: {found.num_new:,} images are few."] if few else []
    if not found.drift.is_drift or (few and share is not None):
        of_number.append(_cannot(found.num_new, share))
    if of_number:
        said.append(" ".join(of_number))
    low, high = drift.expected_flagged(found.calibration, found.num_own)
    if not low <= found.num_own_flagged <= high:
        said.append(
            f"Caution: of the {found.num_own:,} own test images {found.num_own_flagged:,} are "
            f"flagged, where {low:,} to {high:,} were to expect: they are not quite like the "
            "images that set the threshold. New images are compared with the test images."
        )
    return said


def _cannot(number: int, share: float | None) -> str:
    if share is None:
        return f"So few ({number:,}) can show nothing: not even if all of them were foreign."
    return (
        f"With {number:,} images a share of {percent(share, 1)} of foreign ones is found with a "
        f"chance of {percent(drift.POWER)}, if the guard flags all of them; of those of which it "
        "flags half there have to be about twice as many. A smaller share may be there unseen."
    )


def facts(found: Found) -> dict[str, Any]:
    """What monitor.json says."""
    return {
        "weights": found.weights,
        "num_there": found.num_there,
        "verdict": sentences(found),
        "is_drift": found.drift.is_drift,
        "level": found.config.level,
        "found_by": list(found.drift.found),
        "p_values": found.drift.p_values,
        "num_images": found.num_new,
        "num_own_images": found.num_own,
        "num_flagged": found.num_flagged,
        "flagged": found.num_flagged / found.num_new,
        "flagged_interval": list(found.new.share_flagged_interval),
        "flagged_of_own": float(np.mean(found.own.flagged)),
        "false_alarm_rate": found.calibration.false_alarm_rate,
        "num_flagged_expected": list(found.expected),
        "auroc": found.auroc,
        "smallest_share": found.smallest_share,
        "fired": reasons.shares(found.new),
        "false_discovery_rate": found.config.false_discovery_rate,
        "num_named": len(found.drift.named),
    }


def of_images(found: Found, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """What monitor.json says of the images that are named, the most suspicious first.

    Args:
      found: what was found.
      names: index of an image, its row in the score table -> what it is called.
    """
    return [
        {
            "index": place,
            "name": names[place],
            "p_value": float(found.drift.image_p_values[place]),
            "score": float(found.new.score[place]),
            "reasons": reasons.of_image(found.new, place) or [reasons.NONE_ALONE],
        }
        for place in listed(found)
    ]


def listed(found: Found) -> list[int]:
    """The images that are named, the most suspicious first, as many as monitor.json lists."""
    return found.drift.named[:_MOST_LISTED].tolist()
