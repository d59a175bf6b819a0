"""Two logical CPUs, so that `tf.distribute` can be tested; what runs on one uses the first."""

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
