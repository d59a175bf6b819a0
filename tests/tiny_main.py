"""`main.py` for tests in processes of their own: what `conftest` does for those that run here."""

import pathlib
import sys

import tensorflow as tf

sys.path[0] = str(pathlib.Path(__file__).parents[1])

from tfp_ood import cli  # noqa: E402
from tfp_ood.data import prepare  # noqa: E402

prepare.check_counts = lambda spec, data_dir: None
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

if __name__ == "__main__":
    cli.console_main()
