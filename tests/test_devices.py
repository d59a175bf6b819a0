import os
import subprocess
import sys

from tfp_ood import devices

STORED_THEN_TRAINED = """
import sys, tempfile
from tfp_ood.data import prepare, specs

def route(spec, work):
    import tensorflow as tf
    print(float(tf.reduce_sum(tf.ones([3]))))  # TensorFlow has started

prepare._routes = lambda spec, root: [("a test", route)]
prepare._check = lambda spec, work: None
prepare.os.rename = lambda *paths: None
prepare.prepare(["mnist"], tempfile.mkdtemp())
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def _run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )


def test_start_is_quiet_and_shares_the_cores():
    done = _run(
        "from tfp_ood import devices\ndevices.start_tensorflow()\nimport tensorflow as tf\n"
        "tf.ones([3]) + 1\nprint(tf.config.threading.get_intra_op_parallelism_threads())\n"
        "print(tf.config.experimental.tensor_float_32_execution_enabled())"
    )
    assert done.stderr == ""
    threads, has_tensorfloat = done.stdout.split()
    assert int(threads) == max(1, len(os.sched_getaffinity(0)) // 2)
    assert has_tensorfloat == "False"


def test_the_command_line_spares_the_import_of_keras_3():
    """And nothing else imports it, from the start to the last stage that computes."""
    done = _run(
        "import os, sys\nfrom tfp_ood import cli\n"
        "os.environ.pop('TF_USE_LEGACY_KERAS', None)\n"
        "def main():\n"
        "    from tfp_ood.training import fit\n"
        "    from tfp_ood.evaluation import evaluate, samples\n"
        "    print([name for name in ('tensorflow', 'keras.src') if name in sys.modules])\n"
        "cli.main = main\ncli.console_main()"
    )
    assert done.stdout == "['tensorflow']\n"


def test_memory_of_gpus_grows_unless_told(monkeypatch):
    """By TensorFlow's own variable, which whoever starts the program may set too."""
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    for given, expected in ((True, "true"), (False, "false")):
        monkeypatch.delenv(name, raising=False)
        devices.share_gpus(given)
        devices.share_gpus()  # the first call decides
        assert os.environ[name] == expected
    monkeypatch.setenv(name, "mine")
    devices.share_gpus(True)
    assert os.environ[name] == "mine"


def test_preparing_data_does_not_slow_the_training_after_it():
    """TensorFlow's threads are set before preparing runs its first operation."""
    done = _run(STORED_THEN_TRAINED)
    assert done.stderr == "mnist: a test\n"
    started, threads = done.stdout.split()
    assert started == "3.0"
    assert int(threads) == max(1, len(os.sched_getaffinity(0)) // 2)


def test_what_does_not_compute_in_halves_has_all_cores():
    done = _run(
        "from tfp_ood import devices\ndevices.start_tensorflow(in_halves=False)\n"
        "devices.start_tensorflow()\nimport tensorflow as tf\n"
        "tf.ones([3]) + 1\nprint(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    assert int(done.stdout) in (0, len(os.sched_getaffinity(0)))  # 0: TensorFlow's choice, all
