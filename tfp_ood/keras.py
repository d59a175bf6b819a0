"""The one place that picks the Keras.

TFP tracks the variables of `tf.Module`; Keras 3 layers are not one, tf_keras layers are.
"""

import tf_keras as keras

__all__ = ["keras"]
