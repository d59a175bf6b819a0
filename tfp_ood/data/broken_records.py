"""Which file of a set is damaged, where TensorFlow only says that something is."""

import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tfp_ood.data import prepare
from tfp_ood.data.specs import DatasetSpec, parse
from tfp_ood.data.untuned import untuned
from tfp_ood.errors import DataError


def name_file(error: Exception, names: Sequence[str], data_dir: str | None) -> None:
    """Finds the damaged file, if that is what an error of work that reads data sets means.

    Args:
      error: any. TensorFlow's DataLossError makes this read files; its UnknownError says whether
        a file of a folder or array, which was looked at before, could not be read any more.
      names: of all the sets that may have been read, as in a config.
      data_dir: of TFDS.

    Raises:
      DataError: a file of one of them has a damaged record, or has changed meanwhile. Damage of
        other files is named by whoever reads them.
    """
    if isinstance(error, tf.errors.UnknownError):
        _, _, said = error.message.partition(f" {DataError.__name__}: ")
        if said:
            reason = said.splitlines()[0]
            raise DataError(f"{reason} It was there at the start: run the same again.") from error
    if not isinstance(error, tf.errors.DataLossError):
        return
    for name in dict.fromkeys(names):
        source = parse(name, "data")
        if isinstance(source, DatasetSpec):
            _check_records(source, data_dir, error)


def _check_records(spec: DatasetSpec, data_dir: str | None, error: Exception) -> None:
    """Raises DataError for the first file with a damaged record."""
    folder = prepare.set_folder(spec, data_dir)
    for path in sorted(pathlib.Path(folder).glob("*.tfrecord*")):
        try:
            for _ in untuned(tf.data.TFRecordDataset(str(path))):
                pass
        except tf.errors.DataLossError as found:
            # Between notes on the operation, in braces before and in brackets after.
            reason = found.message.rpartition("}} ")[2].partition(" [Op")[0]
            raise DataError(
                f"{spec.name}: {path} is damaged ({reason}); move {folder} away and run "
                "--mode=prepare, which makes it again."
            ) from error
