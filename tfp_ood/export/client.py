"""Asks the guard beside this file about images: python client.py IMAGES.npy

IMAGES.npy holds uint8 [N, H, W, C], prepared as model_card.md says. Needs tensorflow and numpy.
"""

import os
import pathlib
import sys

# TensorFlow's import then leaves out Keras 3, a third of its time; a SavedModel needs no Keras.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

BATCH = 250

# GPUs since Ampere would round what the networks multiply, and likelihoods with it.
tf.config.experimental.enable_tensor_float_32_execution(False)
images = np.load(sys.argv[1])
# By a name without folders, in which TensorFlow would take * ? [ and \ for a pattern.
os.chdir(pathlib.Path(__file__).resolve().parent)
model = tf.saved_model.load("model")
guard = model.signatures["guard"]
for start in range(0, len(images), BATCH):
    told = {k: v.numpy() for k, v in guard(tf.constant(images[start : start + BATCH])).items()}
    for i, foreign in enumerate(told["is_out_of_distribution"]):
        reasons = told["reasons"][i].decode() or "all detectors together"
        print(
            f"{start + i}: {told['bits_per_dim'][i]:.3f} bits/dim, likelier than "
            f"{told['percentile'][i]:.1f} % of held-out images, p = {told['p_value'][i]:.4f}: "
            + (f"OUT OF DISTRIBUTION ({reasons})" if foreign else "usual")
        )
