"""Which file of a TFDS set is damaged, where TensorFlow only says that a record is."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfp_ood.data import prepare
from tfp_ood.data.specs import DatasetSpec, parse
from tfp_ood.errors import DataError


@contextlib.contextmanager
def named(names: Sequence[str], data_dir: str | None) -> Iterator[None]:
    """Around work that reads data sets.

    Args:
      names: of all the sets that may be read, as in a config.
      data_dir: of TFDS.

    Raises:
      DataError: instead of TensorFlow's error, if a file of one of them has a damaged record. All
        of them are read for that, which costs nothing where nothing fails.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        for name in dict.fromkeys(names):
            source = parse(name, "data")
            if isinstance(source, DatasetSpec):
                _check_records(source, data_dir, error)
        raise  # a damaged file of another kind, which whoever reads it names


def _check_records(spec: DatasetSpec, data_dir: str | None, error: Exception) -> None:
    """Raises DataError for the first file with a damaged record."""
    folder = prepare.set_folder(spec, data_dir)
    for path in sorted(tf.io.gfile.glob(os.path.join(folder, "*.tfrecord*"))):
        try:
            for _ in tf.data.TFRecordDataset(path):
                pass
        except tf.errors.DataLossError as found:
            # Between notes on the operation, in braces before and in brackets after.
            reason = found.message.rpartition("}} ")[2].partition(" [Op")[0]
            raise DataError(
                f"{spec.name}: {path} is damaged ({reason}); move {folder} away and run "
                "--mode=prepare, which makes it again."
            ) from error
