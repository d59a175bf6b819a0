"""The panel of a model: what its tables allow, fitted on one half, judged by the other."""

import numpy as np
import pytest

from tests.evaluation.fakes import table, with_columns
from tfp_ood import detectors
from tfp_ood.errors import ExportError

RNG = np.random.default_rng(0)


def images(count=400, mean=3.0, **changes):
    made = table(RNG.normal(mean, 0.2, count), **changes)
    return with_columns(made, code_bits=RNG.normal(700, 40, count))


def test_halves_are_all_images_once():
    given = images(101)
    first, second = detectors.halves(given)
    assert (first.num_images, second.num_images) == (50, 51)
    assert set(first.index) | set(second.index) == set(range(101))
    np.testing.assert_array_equal(first.log_prob, given.log_prob[first.index])
    assert list(detectors.halves(given)[0].index) == list(first.index)
    assert set(detectors.halves(given, seed=1)[0].index) != set(first.index)


@pytest.mark.parametrize("times", [2, 3, 7])
def test_a_held_out_image_that_is_there_many_times_counts_once(times):
    """Or the threshold would be that of images which the detectors were fitted to, or of a few
    pictures that pass for many, and more own images would be flagged than were asked for."""
    given = with_columns(
        images(100), pixel_mean=np.arange(100.0) % 7, pixel_variance=np.arange(100.0)
    )
    order = np.random.default_rng(times).permutation(np.repeat(np.arange(100), times))
    copied = given.take(order)
    kept = detectors.different(copied)
    assert sorted(kept.log_prob) == sorted(given.log_prob)
    made, expected = (detectors.panel([one], [images()], 0.1) for one in (copied, kept))
    calibration = made.guard.combined.calibration
    assert calibration.num_images == 50
    np.testing.assert_array_equal(calibration.scores, expected.guard.combined.calibration.scores)


def test_images_without_copies_and_tables_that_do_not_tell_are_left_as_they_are():
    given = images(100)
    assert detectors.different(given) is given
    unknown = given.without(["code_bits"])
    assert detectors.different(unknown) is unknown
    mirrored = with_columns(given, pixel_mean=np.ones(100), code_bits=np.arange(100.0))
    assert detectors.different(mirrored) is mirrored
    alike = with_columns(given, pixel_mean=np.zeros(100), pixel_variance=np.arange(100.0))
    assert detectors.different(alike) is alike
    same = with_columns(given, pixel_mean=np.zeros(100), code_bits=np.ones(100))
    assert detectors.different(same).num_images == 1


def test_one_image_is_both_halves():
    first, second = detectors.halves(images(1))
    assert first.num_images == second.num_images == 1


def test_what_the_tables_lack_is_left_out_and_named():
    made = detectors.panel([images()], [images(), images(name="fashion_mnist")])
    assert set(made.detectors) == {"log_prob", "typicality", "complexity", "density", "combined"}
    assert made.left_out["reconstruction"] == ("norm_1.*", "norm_2.*")
    assert not set(detectors.of_ensembles()) & {*made.detectors, *made.left_out}
    assert made.guard.combined.detector is made.detectors["combined"]
    assert made.guard.combined.calibration.num_images == 200


def test_a_column_that_one_set_lacks_is_lacking():
    made = detectors.panel([images()], [images(), images().without(["code_bits"])])
    assert made.left_out["complexity"] == ("code_bits",)


def test_a_guard_gives_no_reasons_of_what_it_was_not_asked():
    of_flow = {"log_prob_latent": np.ones(400), "log_det": np.ones(400)}
    of_vae = {"reconstruction": np.ones(400), "kl": np.ones(400)}
    of_pixel_cnn = {"log_prob.red": np.ones(400), "log_prob.green": np.ones(400)}
    for extra, has_density in ((of_pixel_cnn, False), (of_flow, True), (of_vae, True)):
        panel = detectors.panel([with_columns(images(), **extra)], [])
        assert "density" in panel.detectors
        assert ("density" in panel.guard.reasons) == has_density
        assert ("density" in detectors.joined(panel.detectors)) == has_density


def test_without_held_out_images_there_is_no_guard():
    made = detectors.panel([], [images()])
    assert set(made.detectors) == {"log_prob", "complexity"}
    assert made.left_out["typicality"] == () and "combined" in made.left_out
    with pytest.raises(ExportError, match="no scores of held-out images"):
        _ = made.guard


def test_too_few_held_out_images_give_figures_without_a_guard():
    made = detectors.panel([images(30)], [images()], 0.05)
    assert "combined" in made.detectors and isinstance(made.found, ExportError)
    with pytest.raises(ExportError, match="would flag nothing"):
        _ = made.guard


def test_the_guard_s_half_has_no_part_in_the_fit():
    held_out = images()
    first, second = detectors.halves(held_out)
    made = detectors.panel([held_out], [images()])
    expected = detectors.DETECTORS["combined"].fit([first]).score([second])
    np.testing.assert_array_equal(made.guard.combined.calibration.scores, np.sort(expected))
