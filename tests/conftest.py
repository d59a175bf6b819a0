"""What tests share: two logical CPUs, and two tiny data sets.

The CPUs are for `tf.distribute`; what runs on one uses the first.
"""

import pytest
import tensorflow as tf

from tests.data import tiny

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="module", name="data_dir")
def _data_dir(tmp_path_factory):
    """A folder with tiny FashionMNIST and MNIST, as TFDS sets."""
    path = tmp_path_factory.mktemp("data")
    tiny.store_set("fashion_mnist", path)
    tiny.store_set("mnist", path, seed=1)
    return str(path)
