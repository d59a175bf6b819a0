import pytest

from tfp_ood.data import specs
from tfp_ood.reporting import names


def test_known_sets_have_their_usual_names():
    sets = [("fashion_mnist", "test"), ("cifar10", "test"), ("svhn_cropped", "test")]
    assert names.labels(sets) == ["FashionMNIST", "CIFAR-10", "SVHN"]


def test_every_set_of_the_table_has_a_display_name():
    assert {*specs.SPECS, *specs.SYNTHETIC} == set(names.DISPLAY_NAMES)


def test_paths_are_called_by_their_last_part():
    sets = [("folder:/x/photos/", "all"), ("array:../svhn.npy", "all")]
    assert names.labels(sets) == ["photos", "svhn.npy"]


@pytest.mark.parametrize(
    ("sets", "labels"),
    [
        ([("mnist", "train"), ("mnist", "test")], ["MNIST (train)", "MNIST (test)"]),
        ([("folder:/a/p", "all"), ("folder:/b/p", "all")], ["a/p", "b/p"]),
        ([("folder:/a/p", "test"), ("folder:/a/p", "all")],
         ["folder:/a/p (test)", "folder:/a/p (all)"]),
        ([("folder:p", "all"), ("array:p", "all")], ["folder:p", "array:p"]),
    ],
)  # fmt: skip
def test_equal_labels_are_told_apart(sets, labels):
    assert names.labels(sets) == labels


def test_families_have_their_usual_names_and_new_ones_their_own():
    assert (names.family("glow"), names.family("new")) == ("Glow", "new")


def test_labels_are_lines_of_a_length_that_figures_have_room_for():
    shown = {"a\nb\x1b": r"a\nb\x1b", "_x": "./_x", "$1 \u7167": "$1 \u7167", "n" * 37: "n" * 37}
    assert [names.labels([(f"folder:/{name}", "all")])[0] for name in shown] == [*shown.values()]
    (label,) = names.labels([(f"folder:/{'a' * 100}{'z' * 100}", "all")])
    assert label == "a" * 24 + "\u2026" + "z" * 12


def test_long_names_that_differ_in_the_middle_are_told_apart():
    sets = [(f"folder:/{'a' * 100}{i}{'z' * 100}", "all") for i in range(3)]
    labels = names.labels(sets)
    assert len(set(labels)) == 3 and labels[1] == "a" * 100 + "1" + "z" * 100


def test_own_images_with_less_contrast():
    assert names.labels([("contrast:0.5", "test")]) == ["own, contrast to 0.5"]
