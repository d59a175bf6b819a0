"""How TensorFlow starts, and how it shares out the machine."""

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from absl import logging


def start_tensorflow(in_halves: bool = True, look_for_devices: bool = True) -> None:
    """Imports TensorFlow without its start-up notes, which would bury ours, and shares the cores.

    For command lines, before anything else imports it; the first call decides. The notes come from
    C++ before any setting is read, and when devices are looked for, so standard error is held back
    meanwhile; if anything fails, it is shown.

    Args:
      in_halves: what follows computes batches in two halves (`share_cores`); the classifiers of the
        rotated digits do not, and need all cores for each operation.
      look_for_devices: which starts TensorFlow; not before it has joined other workers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    share_gpus()
    logging.set_verbosity(logging.ERROR)
    with _held_back_stderr():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        keep_float32()
        tf.config.list_physical_devices()
        if in_halves:
            share_cores()
        if look_for_devices:
            tf.config.list_logical_devices()  # looks for drivers, once more with notes


def leave_out_keras_3() -> None:
    """Spares TensorFlow's first import that of Keras 3: a third of its time, for nothing.

    For programs of this package's own, before they import TensorFlow: `tf.keras` is tf_keras in
    them, as the models are. What the environment says already holds.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def share_cores() -> None:
    """On a CPU, gives each operation half of the cores, since two run beside each other.

    The models compute two halves of a batch at the same time (`models.halves`). Call this before
    TensorFlow's first operation; later it has no effect. Without it all is computed just as well,
    but slower: threads of both halves' operations then compete for the same cores.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    # TensorFlow refuses once it has started, and has no public way to ask whether it has.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(max(1, num_cores() // 2))


def share_gpus(memory_growth: bool = True) -> None:
    """Says how TensorFlow takes memory of GPUs; the first call decides, an environment before it.

    As `share_cores`, before TensorFlow's first operation.

    Args:
      memory_growth: as it is needed, so that others may use them too; or nearly all at once.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", str(memory_growth).lower())


def keep_float32() -> None:
    """Computes products of float32 in float32 in this process, on any GPU.

    By default TensorFlow rounds their operands to TensorFloat-32 on GPUs since Ampere. A flow that
    is so rounded inverts with errors of several pixel values, and has other likelihoods than on
    other machines. The setting is one for all that a process computes; without such GPUs it
    changes nothing.
    """
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


def be_deterministic() -> None:
    """Lets every operation of this process from now on give the same result for the same input.

    GPUs have operations that add in whatever order threads come; TensorFlow has others for most of
    them, which are slower, and says so where it has none.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def memory_bytes() -> int:
    """Memory of the machine, or of the control group that holds this process, if that is less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is no such file, or it says "max"
            sizes.append(int(pathlib.Path(path).read_text()))
    return min(sizes)


_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of both versions of control groups."""


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
