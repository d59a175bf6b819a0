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


def test_own_images_with_less_contrast():
    assert names.labels([("contrast:0.5", "test")]) == ["own, contrast to 0.5"]
