import numpy as np

from tests.evaluation.fakes import NUM_DIMS, table, with_columns
from tfp_ood.detectors.complexity import Complexity


def test_bits_of_the_model_less_those_of_the_better_codec():
    judged = with_columns(
        table([3.0, 2.0]), png_bytes=np.array([10.0, 2.0]), webp_bytes=np.array([4.0, 5.0])
    )
    score = Complexity().score([judged])
    # Bits, not nats: 3 bits/dim are 36 bits.
    np.testing.assert_allclose(score, [3.0 * NUM_DIMS - 8 * 4, 2.0 * NUM_DIMS - 8 * 2])
    score = Complexity().score([judged.without(["webp_bytes"])])
    np.testing.assert_allclose(score, [3.0 * NUM_DIMS - 8 * 10, 2.0 * NUM_DIMS - 8 * 2])


def test_without_a_png_size_it_does_not_judge():
    assert not Complexity().is_applicable([table([1.0]).without(["png_bytes"])])
