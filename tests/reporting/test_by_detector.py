import numpy as np

from tests.evaluation.fakes import judged, table, with_columns
from tfp_ood.reporting.by_detector import auroc_table


def sized(made, bits):
    """The table with a length of all its images under the code."""
    return with_columns(made, code_bits=np.full(made.num_images, bits))


OWN = sized(table([3.0, 3.1, 3.2], "fashion_mnist"), 24.0)
LIKELY, UNLIKELY = sized(table([2.0, 2.1]), 8.0), sized(table([8.0, 8.1], "noise", "all"), 160.0)


def test_the_best_of_each_set_is_marked():
    made = auroc_table(judged([OWN, LIKELY, UNLIKELY])[1:], ["log_prob", "complexity"], "AUROC")
    header, first, second = made.split("<tr>")[1:]
    assert "MNIST</th>" in header and "noise</th>" in header
    assert first.startswith('<th scope="row">Likelihood</th><td>0.000')
    assert "<td><b>1.000" in first.split("0.000</span>")[1]
    assert second.startswith('<th scope="row">Input complexity</th><td><b>1.000')
    assert second.count("<b>") == 1
    assert 'class="metrics"' in made


def test_one_detector_alone_is_not_the_best_of_any():
    assert "<b>" not in auroc_table(judged([OWN, LIKELY])[1:], ["log_prob"], "AUROC")
