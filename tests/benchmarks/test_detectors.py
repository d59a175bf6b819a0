"""What is printed of runs' summaries, without runs."""

import types

from tests.benchmarks import detectors


def summary(own, foreign, auroc, combined, flagged):
    def entry(label, bits):
        return types.SimpleNamespace(
            label=label,
            num_images=1000,
            bits_per_dim_mean=bits,
            likelihood={"auroc": auroc},
            combined={"auroc": combined},
            scores={"combined": {"auroc": combined, "auroc_interval": (combined - 0.01, combined)}},
            flagged=flagged,
            flagged_interval=(flagged - 0.02, flagged + 0.01),
            flagged_by_likelihood=0.06,
        )

    mine, theirs = entry("celeb_a32_train.npy", own), entry("svhn_cropped_test.npy", foreign)
    return types.SimpleNamespace(in_set=mine, out_sets=[theirs], detector_names=["combined"])


def test_rows_have_mean_and_range_of_seeds_and_one_figure_of_one_seed():
    found = {
        "glow_celeb_a": summary(4.0, 2.75, 0.02, 0.99, 0.5),
        "glow_celeb_a_seed1": summary(4.2, 2.85, 0.04, 0.97, 0.7),
        "vae_celeb_a": summary(6.5, 7.0, 0.8, 0.999, 1.0),
    }
    assert detectors.pairs_table(found).splitlines()[2:] == [
        "| CelebA | SVHN | glow | 2 | 4.10 (4.00 to 4.20) | 2.80 (2.75 to 2.85) "
        "| 0.030 (0.020 to 0.040) | 0.980 (0.970 to 0.990) | 60.0% (50.0% to 70.0%) |",
        "| CelebA | SVHN | vae | 1 | 6.50 | 7.00 | 0.800 | 0.999 | 100.0% |",
    ]


def test_what_lacks_a_detector_has_an_empty_cell():
    (entry,) = summary(4.0, 2.75, 0.02, 0.99, 0.5).out_sets
    assert detectors.auroc(entry, "combined") == "0.990 ±0.005"
    assert detectors.auroc(entry, "ratio") == ""


def test_own_images_are_marked_and_shares_have_their_intervals():
    rows = list(detectors._flagged("glow_celeb_a", summary(4.0, 2.75, 0.02, 0.99, 0.5)))
    assert rows == [
        ["glow_celeb_a", "CelebA (own)", "1,000", "50.0% (48.0% to 51.0%)", "6.0%"],
        ["glow_celeb_a", "SVHN", "1,000", "50.0% (48.0% to 51.0%)", "6.0%"],
    ]


def test_runs_have_names_of_their_own_and_references_are_among_them():
    names = [name for name, _ in detectors.runs()]
    assert len(set(names)) == len(names) and set(detectors.REFERENCES.values()) <= set(names)
    assert {f"glow_{pair}_longer" for pair in detectors.LONGER} <= set(names)
    assert {f"glow_imagenet_seed{seed}" for seed in (1, 2)} <= set(names)
