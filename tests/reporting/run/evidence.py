"""Tables of models that do not exist, and what a report makes of them."""

import numpy as np

from tests.evaluation.fakes import NUM_DIMS, judged, table, with_columns
from tfp_ood import trajectory
from tfp_ood.evaluation.images import Kept
from tfp_ood.reporting.run.evidence import Evidence
from tfp_ood.reporting.summary import judge
from tfp_ood.workdir import open_workdir

RNG = np.random.default_rng(0)
SHAPE = (2, 2, 3)
RATE = 0.1
SLOPES = {name: np.full(SHAPE, 0.01) for name in ("kernel_sensitivity", "sensitivity", "gradient")}


def of_flow(made, volume, spare=0.0):
    """The table with the terms of a flow, of which `volume` is one, and lengths under a code.

    The code needs 400 bits more than the model, and `spare` fewer than that.
    """
    terms = {"log_prob_latent": made.log_prob - volume, "log_det": volume + 0 * made.log_prob}
    bits = made.bits_per_dim * NUM_DIMS + RNG.normal(400 - spare, 2, made.num_images)
    return with_columns(made, **terms, code_bits=bits)


def kept(made, variance):
    """Images that go with a table, whose pixels have this variance."""
    images = RNG.integers(0, 256, (2, min(16, made.num_images), *SHAPE), np.uint8)
    order = np.argsort(-made.log_prob)[:16]
    moments = np.ones(SHAPE), np.full(SHAPE, variance)
    spread = RNG.integers(0, 256, (made.num_images, *SHAPE), np.uint8)
    return Kept(images, np.stack([order, order]), spread, np.arange(made.num_images), *moments)


def reduced(own, kind, factor):
    """The images of a table with less contrast."""
    how = {"reduction": {"of": own.dataset, "kind": kind, "factor": factor}}
    return table(own.bits_per_dim * factor, f"{kind}:{factor}", preprocessing=how)


OWN = of_flow(table(RNG.normal(3, 0.2, 40), "fashion_mnist"), RNG.normal(size=40))
HELD_OUT = of_flow(
    table(RNG.normal(3, 0.2, 80), "fashion_mnist", "validation"), RNG.normal(size=80)
)
MNIST = of_flow(table(RNG.normal(2, 0.2, 30), "mnist"), RNG.normal(5, 1, 30), 50.0)
GRAY = of_flow(table(np.linspace(1, 4, 256), "constant", "all"), 3.0, 50.0)
GRAY = with_columns(GRAY, pixel_mean=np.arange(256.0))
HALF = of_flow(reduced(OWN, "dimmed", 0.5), RNG.normal(size=40))


WATCHED = {
    step: {
        t.key: trajectory.scored(t.dataset, t.split, t.index, t.log_prob - 100 / step, NUM_DIMS)
        for t in (OWN, MNIST, HALF)
    }
    for step in (10, 20)
}


def evidence(root, tables, slopes=None, watched=None, config=None, held_out=()):
    """What evaluation would have left in a work directory."""
    panel, summary = judge(tables[0], tables[1:], held_out, RATE)
    return Evidence(
        open_workdir(root),
        judged(tables, [kept(t, 100.0 - 10 * i) for i, t in enumerate(tables)], summary),
        summary,
        panel,
        slopes,
        watched or {},
        config,
    )
