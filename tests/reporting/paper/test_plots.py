"""Likelihoods in the paper's layout."""

import numpy as np

from tests.evaluation.fakes import judged, table
from tfp_ood.reporting.paper import plots

RNG = np.random.default_rng(0)


def pair(own, foreign):
    sets = [(own, "test", 3.0), (foreign, "all" if ":" in foreign else "test", 2.0)]
    return judged([table(RNG.normal(bits, 0.1, 50), name, split) for name, split, bits in sets])


def test_four_pairs_are_two_by_two_and_arrays_are_called_what_they_stand_for():
    panels = [
        ("Glow (fm)", pair("fashion_mnist", "mnist")),
        ("Glow (cifar10)", pair("cifar10", "array:/data/svhn_cropped_test.npy")),
        ("Glow (faces)", pair("array:/data/celeb_a32_train.npy", "svhn_cropped")),
        ("Glow (mine)", pair("cifar10", "array:/data/cars.npy")),
    ]
    figure = plots.histograms(panels)
    axes = figure.axes
    places = [one.get_subplotspec() for one in axes]
    assert [(one.rowspan.start, one.colspan.start) for one in places] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    assert [one.get_title() for one in axes] == [title for title, _ in panels]
    shown = [{text.get_text() for text in one.get_legend().get_texts()} for one in axes]
    assert shown[:3] == [{"FashionMNIST", "MNIST"}, {"CIFAR-10", "SVHN"}, {"CelebA", "SVHN"}]
    assert "CIFAR-10" in shown[3] and any("cars" in text for text in shown[3])
