"""What an exported guard tells of images, by TensorFlow alone: a process for `serving`.

python -m tests.gpu.serve MODEL IMAGES.npy TOLD.npz
"""

import sys

import numpy as np
import tensorflow as tf


def main(path: str, images: str, told: str) -> None:
    """Writes the guard's answers, and `gpus`, how many of them there are."""
    tf.config.experimental.enable_tensor_float_32_execution(False)  # as client.py of an export
    guard = tf.saved_model.load(path).signatures["guard"]
    answers = {k: v.numpy() for k, v in guard(tf.constant(np.load(images))).items()}
    answers["reasons"] = answers["reasons"].astype("U")
    np.savez(told, gpus=len(tf.config.list_logical_devices("GPU")), **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
