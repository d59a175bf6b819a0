"""The run that the tests of this folder share."""

import pytest

from tests.training.small import CONFIG, OLD
from tfp_ood.training import fit
from tfp_ood.workdir import open_workdir


@pytest.fixture(scope="session", name="finished")
def _finished(tmp_path_factory, stored_sets):
    """Trained by one process on one device, where earlier trainings had left things."""
    workdir = open_workdir(tmp_path_factory.mktemp("finished") / "run")
    workdir.claim(CONFIG)
    for name in OLD:
        (workdir.root / name).parent.mkdir(parents=True)
        (workdir.root / name).touch()
    fit.train(CONFIG, workdir, str(stored_sets))
    return workdir
