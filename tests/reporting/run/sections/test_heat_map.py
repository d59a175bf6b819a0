import numpy as np

from tests.evaluation.fakes import judged, table
from tests.reporting.run.evidence import GRAY, HALF, HELD_OUT, MNIST, OWN, evidence
from tfp_ood.reporting.run.sections import heat_map


def test_a_number_for_each_set_and_detector_in_its_cell(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST, GRAY, HALF], held_out=[HELD_OUT])
    names, sets = list(given.panel.detectors), given.shown[1:]
    (axes,) = heat_map.draw(sets, names).axes
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(shown) == len(names) * 2  # not the own images with less contrast
    for (column, row), text in shown.items():
        value = sets[row].about.scores[names[column]]["auroc"]
        assert text == (f"{value:.2f}" if value < 0.995 else f"{value:.3f}")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["MNIST", "constant gray"]
    assert names[-1] == "combined" and len(axes.lines) == 1
    hatched = sum(one.get_hatch() is not None for one in axes.collections)
    assert hatched == sum(s.about.scores[n]["auroc"] < 0.5 for s in sets for n in names) > 0


def test_it_is_described_to_those_who_cannot_see_it(tmp_path):
    made = heat_map.section(evidence(tmp_path, [OWN, MNIST], held_out=[HELD_OUT]))
    assert 'alt="MNIST: log_prob 0.0' in made.html and ", combined 1.00" in made.html
    assert (tmp_path / "report" / "heat_map.pdf").exists()


def test_one_detector_is_no_map(tmp_path):
    tables = [one.without(["code_bits"]) for one in (table([3.0], "fashion_mnist"), table([2.0]))]
    assert heat_map.section(evidence(tmp_path, tables)) is None
    assert heat_map.section(evidence(tmp_path, [OWN, HALF])) is None


def test_colours_end_in_different_grays():
    low, middle, high = (heat_map._COLORS(value)[:3] for value in (0.0, 0.5, 1.0))
    gray = [float(np.dot(color, (0.299, 0.587, 0.114))) for color in (low, middle, high)]
    assert gray[1] > 0.95 and gray[0] - gray[2] > 0.25


def test_labels_are_those_of_the_sets():
    sets = judged([table([3.0, 4.0], "fashion_mnist"), table([2.0])])[1:]
    (axes,) = heat_map.draw(sets, ["log_prob", "complexity"]).axes
    assert not axes.lines  # nothing combined to set apart
