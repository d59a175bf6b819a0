"""Guards of likelihood, from numbers."""

import numpy as np

from tfp_ood import detectors
from tfp_ood.detectors import conformal


def likelihood_guard(log_probs, false_alarm_rate):
    """The guard whose held-out images have these likelihoods."""
    calibration = conformal.calibrate(-np.asarray(log_probs), false_alarm_rate)
    return conformal.Guard(detectors.DETECTORS[detectors.LIKELIHOOD], calibration)


def verdicts(guard, log_probs):
    """What it says of images with these likelihoods."""
    return conformal.verdicts(guard.calibration, -np.asarray(log_probs))
