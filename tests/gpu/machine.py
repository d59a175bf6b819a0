"""The device of this process, and what it can do and holds."""

import resource
import time

import tensorflow as tf

_MIB = 2.0**20
_PRODUCTS = 10
_PEAK_TRIES = 3


def kind() -> str:
    """GPU, or CPU where there is none."""
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def card() -> str:
    """What the GPU calls itself, or "CPU"."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = ".".join(map(str, details.get("compute_capability", ())))
    return f"{details.get('device_name', gpus[0].name)}, compute capability {capability or '?'}"


def peak_flops(dtype: tf.DType, size: int) -> float:
    """Floating-point operations a second of products of large matrices, the best of some tries.

    Args:
      dtype: of the matrices.
      size: rows and columns.
    """
    # Divided so that numbers keep their size in products.
    first, second = (
        tf.random.stateless_normal([size, size], [0, number], stddev=size**-0.5, dtype=dtype)
        for number in range(2)
    )

    @tf.function(autograph=False)
    def products(a, b):
        for _ in range(_PRODUCTS):
            b = tf.matmul(a, b)
        return b[0, 0]

    products(first, second).numpy()
    seconds = []
    for _ in range(_PEAK_TRIES):
        start = time.perf_counter()
        products(first, second).numpy()
        seconds.append(time.perf_counter() - start)
    return _PRODUCTS * 2.0 * size**3 / min(seconds)


def forget_peak_memory() -> None:
    """Starts `peak_memory_mib` anew, where the device can tell."""
    if kind() == "GPU":
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_memory_mib() -> float:
    """The most that the GPU has held for this process, or the process for itself, MiB."""
    if kind() == "GPU":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / _MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
