"""What tests share: two logical CPUs, two tiny data sets, and who runs what.

The CPUs are for `tf.distribute`; what runs on one uses the first.
"""

import gc
import shutil

import pytest
import tensorflow as tf

from tests.data import tiny
from tfp_ood import devices

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
devices.share_cores()

# These start first, so that no process is left alone with one of them in the end.
LONGEST = (
    "tests/test_cli.py",
    "tests/training/test_strategy.py",
    "tests/models/test_contract.py",
    "tests/models/flows",
    "tests/export",
    "tests/models",
    "tests/training",
)


def pytest_collection_modifyitems(items):
    """Gives every file to one process, since its tests share what takes long to make.

    Tests of the contract say themselves which belong together (`xdist_group`).
    """

    def rank(item):
        return next((i for i, path in enumerate(LONGEST) if item.nodeid.startswith(path)), 99)

    items.sort(key=rank)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


def pytest_collection_finish():
    """Spares the garbage collector what was imported, and some of its runs while graphs are made."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", name="stored_sets")
def _stored_sets(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored")
    tiny.store_set("fashion_mnist", path)
    tiny.store_set("mnist", path, seed=1)
    return path


@pytest.fixture(scope="module", name="data_dir")
def _data_dir(stored_sets, tmp_path_factory):
    """A folder with tiny FashionMNIST and MNIST, as TFDS sets."""
    return str(shutil.copytree(stored_sets, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
