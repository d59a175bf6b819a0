"""Findings of the paper are looked for in runs, and not found where they are not."""

import pytest

from tests.reporting.paper.test_match import run
from tfp_ood.reporting.paper import facts as paper_facts
from tfp_ood.reporting.paper.findings import measured

FAILS = (("fashion_mnist", 3.0), ("mnist", 2.0))
CATCHES = (("fashion_mnist", 3.0), ("mnist", 4.0))
REVERSE = (("array:/x/svhn_test.npy", 2.0), ("cifar10", 4.0))


def terms(latent, volume):
    """Decomposition of an own set with terms of 0 and of MNIST."""
    own = {"latent_mean": 0.0, "volume_mean": 0.0}
    return {
        "terms": {
            "fashion_mnist/test": own,
            "mnist/test": {"latent_mean": latent, "volume_mean": volume},
        }
    }


def look(name, *runs):
    return [(one.about, one.agrees) for one in measured(runs)[name]]


def test_every_finding_is_looked_for():
    assert set(measured([run()])) == set(paper_facts.FINDINGS)


@pytest.mark.parametrize(("sets", "agrees"), [(FAILS, True), (CATCHES, False)])
def test_foreign_images_are_likelier(sets, agrees):
    assert look("foreign_likelier", run("vae", sets=sets)) == [("FashionMNIST -> MNIST", agrees)]
    constant = run(sets=sets, coupling="additive")
    assert look("foreign_likelier", constant) == []
    assert look("constant_volume", constant) == [("FashionMNIST -> MNIST", agrees)]


def test_sets_that_are_not_the_paper_s_are_not_compared():
    given = run(sets=(("fashion_mnist", 3.0), ("noise", 9.0), ("kmnist", 2.0)))
    found = measured([given])
    assert [name for name, ones in found.items() if ones] == ["constant"]


def test_the_reverse_direction():
    given = run(pair="cifar10", sets=REVERSE)
    assert look("reverse", given) == [("SVHN -> CIFAR-10", True)]
    assert look("foreign_likelier", given) == []
    broken = run(sets=(("mnist", 3.0), ("fashion_mnist", 2.0)))
    assert look("reverse", broken) == [("MNIST -> FashionMNIST", False)]


@pytest.mark.parametrize(
    ("latent", "volume", "agrees"), [(10.0, 90.0, True), (90.0, 10.0, False), (-5.0, -1.0, False)]
)
def test_the_volume(latent, volume, agrees):
    given = run(diagnosis=terms(latent, volume))
    assert look("volume", given) == [("FashionMNIST -> MNIST", agrees)]
    assert f"{volume:+,.0f} of them by the volume" in measured([given])["volume"][0].figures
    assert look("volume", run(diagnosis=terms(latent, 0.0), coupling="additive")) == []


def test_the_second_order_analysis():
    found = {"variance_term": 6000.0, "measured": 137.0, "same_sign": True}
    diagnosis = {"second_order": {"sets": {"mnist/test": found}}}
    (one,) = measured([run(diagnosis=diagnosis, coupling="additive")])["second_order"]
    assert one.agrees and one.figures == "predicted +6,000 nats, measured +137"


def test_contrast_and_gray_levels():
    sweeps = {"dimmed": {"spearman_of_means": 1.0}, "contrast": {"spearman_of_means": 0.7}}
    given = run(diagnosis={"contrast": sweeps, "gray_levels": {"share_above_own": 0.4}})
    assert look("contrast", given) == [
        ("FashionMNIST, moved towards black", True),
        ("FashionMNIST, moved towards the mean of each image", False),
    ]
    assert look("constant", given) == [("constant images", False)]


@pytest.mark.parametrize(("bits", "agrees"), [(9.0, True), (2.0, False)])
def test_noise(bits, agrees):
    given = run(sets=(("fashion_mnist", 3.0), ("noise", bits)))
    assert look("constant", given) == [("noise", agrees)]


def test_ensembles():
    members = [run(label=f"glow ({seed})") for seed in range(2)]
    for seed, member in enumerate(members):
        member.config["seed"] = seed
    (one,) = measured(members)["ensemble"]
    assert one.about == "FashionMNIST -> MNIST, 2 models" and one.agrees
    assert measured(members[:1])["ensemble"] == []
