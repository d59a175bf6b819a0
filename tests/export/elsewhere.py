"""What another program does with an exported model: MODEL IMAGES.npy OUT.npz FORBIDDEN..."""

import sys

model_path, images_path, out_path, *forbidden = sys.argv[1:]


class _Forbid:
    """An import hook."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in forbidden:
            raise ImportError(f"{name} is forbidden here")


sys.meta_path.insert(0, _Forbid())

import numpy as np  # noqa: E402 - after the hook
import tensorflow as tf  # noqa: E402

signatures = tf.saved_model.load(model_path).signatures
images = tf.constant(np.load(images_path))
draw = {"num_images": 3, "seed": 7, "temperature": 0.8}
told = {
    "log_prob": signatures["log_prob"](images=images),
    "guard": signatures["guard"](images=images),
    "sample": signatures["sample"](**{k: tf.constant(v) for k, v in draw.items()}),
}
flat = {f"{name}.{k}": v.numpy() for name, outputs in told.items() for k, v in outputs.items()}
# Words as bytes of one length: NumPy stores objects by pickle alone.
np.savez(out_path, **{k: v.astype("S") if v.dtype == object else v for k, v in flat.items()})
assert not {name.split(".")[0] for name in sys.modules} & {
    "tensorflow_probability",
    "tf_keras",
    "tfp_ood",
}
