"""The run that the tests of this folder share."""

import pytest

import tfp_ood
from tests.api.tiny import CONFIG, FOREIGN, OWN


@pytest.fixture(scope="session", name="run")
def _run(tmp_path_factory, stored_sets):
    """Trained, scored and reported, on an array, against another one and the tiny MNIST."""
    workdir = tmp_path_factory.mktemp("api") / "run"
    others = ["mnist", FOREIGN]
    return tfp_ood.fit(
        OWN, out_of_distribution=others, workdir=workdir, config=CONFIG, data_dir=stored_sets
    )
