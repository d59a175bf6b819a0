import numpy as np

from tests.evaluation.fakes import NUM_DIMS, table, with_columns
from tfp_ood.detectors.complexity import Complexity


def test_bits_of_the_model_less_those_of_the_code():
    judged = with_columns(table([3.0, 2.0]), code_bits=np.array([10.0, 30.0]))
    # Bits, not nats: 3 bits/dim are 36 bits.
    np.testing.assert_allclose(Complexity().score([judged]), [26.0, -6.0])
    assert NUM_DIMS == 12


def test_without_a_length_it_does_not_judge():
    assert not Complexity().is_applicable([table([1.0]).without(["code_bits"])])
