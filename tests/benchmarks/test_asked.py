"""What is printed of ensembles, without runs."""

from tests.benchmarks import asked


def test_an_ensemble_has_the_range_of_its_members_and_what_they_say_together():
    members = {"glow_a": 0.04, "glow_a_seed1": 0.06, "glow_a_seed2": 0.05}
    together = {"mean": 0.045, "disagreement": 0.91, "waic": 0.8}
    one = {
        "members": list(members),
        "sets": {"k": {name: {"auroc": auroc} for name, auroc in {**members, **together}.items()}},
        "labels": {"k": "svhn_cropped_test.npy"},
    }
    (row,) = asked._rows(one, ("mean", "disagreement", "waic"))
    assert row == ["3 of glow_a", "SVHN", "0.040 to 0.060", "0.045", "0.910", "0.800"]
