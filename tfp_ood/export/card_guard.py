"""The parts of a model card that are about the guard."""

from tfp_ood.detectors import drift
from tfp_ood.detectors.guard import Judgement
from tfp_ood.export.judged import Judged
from tfp_ood.export.markdown import bullets, table
from tfp_ood.reporting import reasons
from tfp_ood.reporting.outcome import CAUGHT, MISSED, is_changed
from tfp_ood.reporting.shares import between, percent, rate
from tfp_ood.reporting.summary import SetSummary, auroc_words


def guard(judged: Judged) -> list[str]:
    """What the guard does, what it flags of every set, and what that means.

    Raises:
      ExportError: there is none.
    """
    summary = judged.summary
    entries = [summary.in_set, *summary.out_sets]
    judgements = judged.judgements()
    changed = [is_changed(entry.preprocessing) for entry in summary.out_sets]
    roles = ["own, test", *("own, changed" if is_in_set else "foreign" for is_in_set in changed)]
    rows = [
        [
            entry.label,
            role,
            f"{entry.num_images:,}",
            f"{percent(entry.flagged, 1)} ({between(entry.flagged_interval)})",
            percent(entry.flagged_by_likelihood, 1),
            _reason(judgement),
        ]
        for entry, role, judgement in zip(entries, roles, judgements, strict=True)
    ]
    header = [
        *("set", "role", "images", "flagged (95 % interval)", "by low likelihood alone"),
        "most frequent reason",
    ]
    sentences = [_false_alarms(judged), *map(_outcome, summary.out_sets)]
    return [_what_it_does(judged), table(header, rows), bullets(sentences)]


def _what_it_does(judged: Judged) -> str:
    calibration, label = judged.panel.guard.combined.calibration, judged.summary.in_set.label
    return (
        f"It joins {_titles(judged)} into one score, which is high where an image is unusual to "
        f"any of them. They were fitted to one half of the images of {label} that were held out of "
        f"the training for validation. The score is compared with those of the other half, "
        f"{calibration.num_images:,} images, and the image is flagged where its p-value is at most "
        f"{calibration.false_alarm_rate:g}, which is the share of false alarms to expect. No "
        "foreign image had a part in it. `reasons` are the detectors whose score alone is as rare, "
        "likelihood's among them; an image may be flagged for what several find a little rare, and "
        "have none. Of low likelihood alone the share is told that it would flag at the same rate."
    )


def _titles(judged: Judged) -> str:
    titles = [one.title for one in judged.members.values()]
    return ", ".join(titles[:-1]) + " and " * (len(titles) > 1) + titles[-1]


def _reason(judgement: Judgement) -> str:
    """The most frequent one and its share of the flagged images."""
    found = reasons.main(judgement)
    return f"{found[0]} ({100 * found[1]:.0f} % of the flagged)" if found else "-"


def _false_alarms(judged: Judged) -> str:
    in_set, calibration = judged.summary.in_set, judged.panel.guard.combined.calibration
    count = in_set.num_images
    number, (low, high) = round(in_set.flagged * count), drift.expected_flagged(calibration, count)
    asked = rate(calibration.false_alarm_rate)
    fits = "fits" if low <= number <= high else "is more than" if number > high else "is less than"
    return (
        f"False alarms: {percent(in_set.flagged, 1)} of the test images of {in_set.label} "
        f"({between(in_set.flagged_interval)}). That {fits} the {asked} asked for: at "
        f"that rate {low:,} to {high:,} of {count:,} are flagged, by the luck of the "
        f"{calibration.num_images:,} images that set the threshold."
    )


def _outcome(entry: SetSummary) -> str:
    share = round(entry.flagged, 3)
    if share >= CAUGHT:
        outcome = f"Catches {entry.label}"
    elif share >= MISSED:
        outcome = f"Catches {entry.label} in part"
    else:
        outcome = f"Does not catch {entry.label}, most of whose images pass"
    return (
        f"{outcome}: {percent(entry.flagged, 1)} flagged; low likelihood alone would flag "
        f"{percent(entry.flagged_by_likelihood, 1)}."
    )


def left_out(full: Judged, exported: Judged) -> list[str]:
    """What the graph cannot compute, and what that costs.

    Args:
      full: judged by all columns of the score tables.
      exported: by those that the graph computes.
    """
    lost = [_loss(name, full, exported) for name in full.members]
    if not any(lost):
        return [
            "Nothing: a graph of TensorFlow computes all that its detectors need. The figures of "
            "the run's page are those of the exported guard."
        ]
    text = (
        "A graph of TensorFlow alone cannot compute every column of the score tables, so that the "
        "exported guard was fitted without some, and its figures differ from those of the run's "
        "page:"
    )
    rows = [
        [
            ours.label,
            _auroc(ours),
            _auroc(theirs),
            percent(ours.flagged, 1),
            percent(theirs.flagged, 1),
        ]
        for ours, theirs in zip(
            full.summary.datasets.values(), exported.summary.datasets.values(), strict=True
        )
    ]
    header = ["set", "AUROC with all", "AUROC exported", "flagged with all", "flagged exported"]
    return [text, bullets([words for words in lost if words]), table(header, rows)]


def _loss(name: str, full: Judged, exported: Judged) -> str:
    """What one detector goes without; "" for nothing."""
    detector, there = full.members[name], exported.tables[0].column_names
    if name not in exported.members:
        return f"{detector.title} is left out: it needs {', '.join(detector.missing(there))}."
    lacks = [column for column in full.uses(name) if column not in there]
    return f"{detector.title} does without {', '.join(lacks)}." if lacks else ""


def _auroc(entry: SetSummary) -> str:
    return auroc_words(entry.combined) if entry.combined else "-"
