"""The likelihood ratio, by hand."""

import numpy as np

from tfp_ood import detectors


def test_foreign_is_what_the_reference_finds_likelier():
    given = {"log_prob": np.array([-3.0, -5.0]), "reference_log_prob": np.array([-4.0, -4.0])}
    np.testing.assert_array_equal(detectors.DETECTORS["ratio"].of_columns(given, np), [-1.0, 1.0])
