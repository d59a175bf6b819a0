"""Guards made from numbers, and what they say in this process."""

import dataclasses

import numpy as np

from tests.evaluation.fakes import table
from tfp_ood import detectors, units
from tfp_ood.detectors.guard import REASON_SEPARATOR
from tfp_ood.evaluation.code_length import in_graph
from tfp_ood.reporting import reasons


def table_of(columns, name="mnist"):
    """A score table in memory with these columns alone, float64 [N] each, "log_prob" among them."""
    statistics = {k: np.asarray(v, np.float64) for k, v in columns.items()}
    log_prob = statistics.pop("log_prob")
    made = table(np.zeros(len(log_prob)), name)
    bits = units.bits_per_dim(log_prob, made.num_dims)
    return dataclasses.replace(made, log_prob=log_prob, bits_per_dim=bits, statistics=statistics)


def columns_of(model, images, num_draws=1):
    """What an exported model can tell of images, as evaluation writes it: float64 [N] each."""
    told = {**model.statistics(images, num_draws), "code_bits": in_graph.code_bits(images)}
    return {name: np.asarray(values, np.float64) for name, values in told.items()}


def guard_of(columns, false_alarm_rate):
    """The guard of all detectors that these columns of held-out images allow."""
    held_out = table_of(columns)
    return detectors.panel([held_out], [held_out], false_alarm_rate).guard


def verdicts(guard, judged):
    """What an exported guard has to say of the images of a score table, or of columns."""
    judged = table_of(judged) if isinstance(judged, dict) else judged
    found = guard.judge([judged])
    alone = {name: test.verdicts([judged]) for name, test in guard.reasons.items()}
    return {
        "percentile": 100.0 - alone["log_prob"]["percentile"],
        "score": found.score,
        "p_value": found.p_value,
        "is_out_of_distribution": found.flagged,
        "reasons": [
            REASON_SEPARATOR.join(reasons.of_image(found, place))
            for place in range(judged.num_images)
        ],
        **{f"p_value.{name}": one["p_value"] for name, one in alone.items()},
    }


def check(told, expected, score_tolerance=1e-3):
    """Holds what an exported guard told to `verdicts`.

    Its graph computes in another order, and a flow's signal in float64; scores are of differences
    of large numbers, divided by what few images differ by.
    """
    told = {name: np.asarray(values) for name, values in told.items()}
    np.testing.assert_allclose(told["score"], expected["score"], score_tolerance)
    assert [words.decode() for words in told["reasons"]] == expected["reasons"]
    for name, values in expected.items():
        if name not in ("score", "reasons"):
            np.testing.assert_allclose(told[name], values, 1e-6, 1e-5, err_msg=name)
