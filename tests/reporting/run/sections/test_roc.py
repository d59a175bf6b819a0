from tests.reporting.run.evidence import GRAY, HELD_OUT, MNIST, OWN, evidence
from tfp_ood.reporting.run.sections import roc


def curves(given):
    judges = {k: v for k, v in given.panel.detectors.items() if k in ("log_prob", "combined")}
    (axes,) = roc.draw(judges, given.shown).axes
    return [line for line in axes.lines if line.get_label() != "a coin"]


def test_likelihood_and_combined_share_a_figure(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST, GRAY], held_out=[HELD_OUT])
    lines = curves(given)
    assert [line.get_linestyle() for line in lines] == ["--", "-"] * 2
    first, second, third, _ = (line.get_color() for line in lines)
    assert first == second != third
    assert lines[0].get_label().startswith("MNIST, likelihood: 0.0")
    assert lines[1].get_label().startswith("MNIST, all combined: ")
    made = roc.section(given)
    assert made.html.count("<img") == 1 and "dashed: likelihood alone" in made.html
    assert [path.stem for path in (tmp_path / "report").glob("*.png")] == ["roc"]


def test_without_a_combined_detector_likelihood_stands_alone(tmp_path):
    given = evidence(tmp_path, [OWN, MNIST, GRAY])
    assert [line.get_linestyle() for line in curves(given)] == ["-", "--"]
    assert "dashed" not in roc.section(given).html
