"""What tests share: two logical CPUs, two tiny data sets, and who runs what.

The CPUs are for `tf.distribute`; what runs on one uses the first.
"""

import gc
import re
import shutil

import pytest
from xdist.scheduler import LoadScopeScheduling

from tfp_ood import devices
from tfp_ood.families import MODEL_CONFIGS

devices.leave_out_keras_3()  # as the command line does

CONTRACT = "tests/models/test_contract.py"
SHARE_A_RUN = (
    ("tests/api/test_run.py", "tests/api/test_snippets.py"),
    ("tests/training/test_fit.py", "tests/training/test_strategy.py"),
)
# These start first, so that no process is left alone with one of them in the end.
LONGEST = (
    "tests/test_cli.py",
    "tests/training/test_strategy.py",
    CONTRACT,
    "tests/models/flows",
    "tests/export",
    "tests/api",
    "tests/models",
    "tests/training",
)


def pytest_configure(config):
    """Starts TensorFlow where tests run; what shares them out can do without."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        devices.share_cores()
        # It takes longer than it saves for graphs that run a few times; `main.py` has it here too.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection_modifyitems(items):
    """Puts the longest first; otherwise in the order of files and in files."""

    def rank(item):
        paths = enumerate(LONGEST)
        return next((i for i, path in paths if item.nodeid.startswith(path)), len(LONGEST))

    items.sort(key=rank)


class _ByWhatIsShared(LoadScopeScheduling):
    """Gives a file's tests to one process: they share what takes long to make, and so do those of
    one case of the contract, and files about one run.

    A method, and not `--dist loadgroup`, which sees no groups under pytest 9.
    """

    def _split_scope(self, nodeid):
        path, _, test = nodeid.partition("::")
        for files in SHARE_A_RUN:
            if path in files:
                return files[0]
        case = re.search(rf"[\[-](({'|'.join(MODEL_CONFIGS)})\w*)", test)
        return f"{path}[{case[1]}]" if path == CONTRACT and case else path


def pytest_xdist_make_scheduler(config, log):
    """See `_ByWhatIsShared`."""
    return _ByWhatIsShared(config, log)


def pytest_collection_finish():
    """Spares the garbage collector what was imported, and some runs while graphs are made."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish():
    """Spares it what is left, which pytest would have it search five times in the end."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _tiny_sets_are_whole():
    """Sets of a few images pass for the official ones, of which only the counts tell them."""
    from tfp_ood.data import prepare

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "check_counts", lambda spec, data_dir: None)
        yield


@pytest.fixture(scope="session", name="stored_sets")
def _stored_sets(tmp_path_factory):
    from tests.data import tiny

    path = tmp_path_factory.mktemp("stored")
    tiny.store_set("fashion_mnist", path)
    tiny.store_set("mnist", path, seed=1)
    return path


@pytest.fixture(scope="module", name="data_dir")
def _data_dir(stored_sets, tmp_path_factory):
    """A folder with tiny FashionMNIST and MNIST, as TFDS sets."""
    return str(shutil.copytree(stored_sets, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
