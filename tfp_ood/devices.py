"""How TensorFlow shares out the machine."""

import contextlib
import os

import tensorflow as tf


def share_cores() -> None:
    """On a CPU, gives each operation half of the cores, since two run beside each other.

    The models compute two halves of a batch at the same time (`models.halves`). Call this before
    TensorFlow's first operation; later it has no effect. Without it all is computed just as well,
    but slower: threads of both halves' operations then compete for the same cores.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    # TensorFlow refuses once it has started, and has no public way to ask whether it has.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(max(1, _num_cores() // 2))


def _num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
