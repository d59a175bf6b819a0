import dataclasses

import numpy as np
import pytest

from tests.evaluation.fakes import table
from tfp_ood.reporting.outcome import changes, outcome
from tfp_ood.reporting.summary import summarize

OWN_BITS = np.linspace(2, 4, 101)


def judge(foreign_bits, name="mnist", preprocessing=None, own_preprocessing=None):
    own = table(OWN_BITS, "fashion_mnist", preprocessing=own_preprocessing)
    foreign = table(foreign_bits, name, "all", preprocessing)
    return outcome(summarize(own, [foreign]))


def test_preferred():
    assert judge(OWN_BITS - 1.2) == [
        "MNIST gets 1.20 bits/dim more likelihood than FashionMNIST: AUROC 0.08; "
        "likelihood alone would let it through."
    ]


def test_indistinct():
    assert judge(OWN_BITS) == [
        "MNIST gets as much likelihood as FashionMNIST on average: AUROC 0.50; "
        "likelihood alone cannot tell the two apart."
    ]


def test_partly_caught():
    (sentence,) = judge(OWN_BITS + 0.5)
    assert sentence.startswith("MNIST gets 0.50 bits/dim less likelihood than FashionMNIST: AUROC")
    assert "only in part (FPR95 0.7" in sentence


def test_caught():
    (sentence,) = judge(OWN_BITS + 5)
    assert sentence.endswith("AUROC 1.00; likelihood alone would catch it (FPR95 0.00).")


def test_a_handful_of_images_is_cautioned_against_once():
    """Whose intervals are too narrow; own images that were changed are the same ones again."""
    assert len(judge(OWN_BITS[:30])) == 1
    (_, said) = judge(OWN_BITS[:29])
    assert said.startswith("Caution: there are few images of MNIST (29). Intervals")
    own = table(OWN_BITS[:7], "fashion_mnist")
    changed = {"corruption": {"of": "fashion_mnist", "kind": "blurred", "strength": 1.0}}
    blurred = table(OWN_BITS[:7], "blurred:1", preprocessing=changed)
    *_, said = sentences = outcome(summarize(own, [blurred, table([1.0], "mnist")]))
    assert len(sentences) == 3 and "images of FashionMNIST (7), MNIST (1). " in said


@pytest.mark.parametrize(
    ("auroc", "words"),
    [
        (0.444, "let it through"), (0.446, "cannot tell"), (0.554, "cannot tell"),
        (0.556, "only in part"), (0.944, "only in part"), (0.946, "would catch it (FPR95"),
    ],
)  # fmt: skip
def test_words_go_by_the_number_shown(auroc, words):
    summary = summarize(table([2.0], "fashion_mnist"), [table([1.0], "mnist")])
    summary.datasets["mnist/test"].scores["log_prob"]["auroc"] = auroc
    assert words in outcome(summary)[0]


def guarded(flagged, auroc=0.987, rate=0.05):
    """The second sentence of a set of which the guard flags this share."""
    summary = summarize(table(OWN_BITS, "fashion_mnist"), [table(OWN_BITS - 1.2, "mnist")])
    own, mnist = summary.datasets.values()
    scores = {**mnist.scores, "combined": {**mnist.likelihood, "auroc": auroc}}
    datasets = {
        "fashion_mnist/test": dataclasses.replace(own, flagged=0.0512),
        "mnist/test": dataclasses.replace(mnist, scores=scores, flagged=flagged),
    }
    (said,) = outcome(dataclasses.replace(summary, datasets=datasets, false_alarm_rate=rate))
    first, second = said.split("through. ")
    assert first == judge(OWN_BITS - 1.2)[0].removesuffix("through.")
    return second


@pytest.mark.parametrize(
    ("flagged", "words"),
    [
        (0.97, "The guard catches 97 % of MNIST at 5 % of false alarms"),
        (0.946, "The guard catches 95 % of MNIST at"),
        (0.944, "The guard catches only 94 % of MNIST at"),
        (0.496, "The guard catches only 50 % of MNIST at"),
        (0.08, "The guard does not catch MNIST: it flags 8 % and passes most of it, at 5 %"),
        (0.0, "The guard does not catch MNIST: it flags 0 % and passes most of it, at 5 %"),
    ],
)
def test_what_the_guard_does_is_said_plainly(flagged, words):
    said = guarded(flagged)
    assert said.startswith(words)
    assert said.endswith(
        "of false alarms (own test images flagged: 5.1 %); AUROC of all detectors combined 0.99."
    )


def test_too_few_held_out_images_for_a_guard():
    assert guarded(None) == (
        "AUROC of all detectors combined 0.99; too few images were held out for a guard."
    )


def test_unequal_preparation_is_a_caution():
    changes = {"size_change": "resize 64x48 -> 28x28", "channel_change": "RGB -> gray"}
    _, caution = judge(OWN_BITS, "folder:/x/photos", changes)
    assert caution.startswith(
        "Caution: photos was resized from 64x48 to 28x28 and converted from RGB to gray; "
        "FashionMNIST was not changed. Unequal preprocessing is a confound"
    )


def test_images_of_various_sizes_and_an_own_set_that_was_changed():
    own = {"size_change": "pad 28x28 -> 32x32"}
    _, caution = judge(OWN_BITS, "folder:/x/p", {"size_change": "crop varying -> 32x32"}, own)
    assert "p was cropped and resized from various sizes to 32x32;" in caution
    assert "FashionMNIST was padded from 28x28 to 32x32." in caution


def test_equal_preparation_is_none():
    same = {"size_change": "resize 64x48 -> 28x28"}
    assert len(judge(OWN_BITS, preprocessing=same, own_preprocessing=same)) == 1


SEEN = {"low": 0, "high": 4095, "num_files": 9}
OTHERS = {"num_files": 6, "num_images": 2, "files": [["a.avif", "AVIF"], ["notes.txt", ""]]}


def test_files_that_are_not_what_they_seem_are_a_caution():
    """Of each folder once: own images that were changed on purpose are of the same files."""
    own = table([3.0] * 30, "folder:/x/scans", preprocessing={"sixteen_bit": SEEN})
    corruption = {"corruption": {"of": own.dataset, "kind": "blurred", "strength": 1.0}}
    blurred = table([2.0] * 30, "blurred:1", preprocessing={"sixteen_bit": SEEN, **corruption})
    foreign = table([2.0] * 30, "folder:/x/photos", "all", {"not_looked_at": OTHERS})
    sentences = outcome(summarize(own, [blurred, foreign]))
    assert [sentence.startswith("Caution") for sentence in sentences] == [False] * 2 + [True] * 2
    *_, deep, others = sentences
    assert "16-bit images of scans (9 in all) mostly go from 0 to 4,095" in deep
    assert others.startswith("Caution: photos holds files that were not looked at though")


def test_other_files_that_are_no_images_are_no_caution():
    others = {"num_files": 1, "num_images": 0, "files": [["notes.txt", ""]]}
    assert len(judge([2.0] * 30, "folder:/x/photos", {"not_looked_at": others})) == 1


def test_own_images_with_less_contrast_are_no_confound_and_no_foreign_set():
    reduced = {"reduction": {"of": "fashion_mnist", "kind": "dimmed", "factor": 0.5}}
    own, half = table(OWN_BITS, "fashion_mnist"), table(OWN_BITS, "dimmed:0.5", "test", reduced)
    summary = summarize(own, [half, table(OWN_BITS - 1, "mnist")])
    assert [sentence.split()[0] for sentence in outcome(summary)] == ["MNIST"]
    (alone,) = outcome(summarize(own, [half]))
    assert alone.startswith("own, dimmed to 0.5 gets as much likelihood")
    entry = summary.datasets["dimmed:0.5/test"]
    assert changes(entry) == "reduced (dimmed) to 50% of their contrast"
