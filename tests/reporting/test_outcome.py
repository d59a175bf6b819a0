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


def test_own_images_with_less_contrast_are_no_confound_and_no_foreign_set():
    reduced = {"reduction": {"of": "fashion_mnist", "kind": "dimmed", "factor": 0.5}}
    own, half = table(OWN_BITS, "fashion_mnist"), table(OWN_BITS, "dimmed:0.5", "test", reduced)
    summary = summarize(own, [half, table(OWN_BITS - 1, "mnist")])
    assert [sentence.split()[0] for sentence in outcome(summary)] == ["MNIST"]
    (alone,) = outcome(summarize(own, [half]))
    assert alone.startswith("own, dimmed to 0.5 gets as much likelihood")
    entry = summary.datasets["dimmed:0.5/test"]
    assert changes(entry) == "reduced (dimmed) to 50% of their contrast"
