"""What --input stands for, and the encoded images in its files."""

import contextlib
import dataclasses
import os
import posixpath
from collections.abc import Iterable

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import FileMetadata
from apache_beam.pvalue import TaggedOutput
from google.protobuf.message import DecodeError

from tfp_ood.beam import remote
from tfp_ood.data import image_files, prepare
from tfp_ood.data.folders import IMAGE_SUFFIXES, shown
from tfp_ood.data.specs import SPECS, DatasetSpec
from tfp_ood.data.untuned import untuned
from tfp_ood.errors import DataError
from tfp_ood.options import one_of

SKIPPED = "skipped"
"""The tag of what is left out, and the name of the metric that counts it."""

_TFDS = "tfds:"
_IMAGE_KEYS = ("image/encoded", "image")
_LABEL_KEYS = ("image/class/label", "label")
_IRREGULAR = "it is no regular file"
_MAX_BYTES = 1 << 30  # a pattern may match films and archives, which would fill a worker's memory


@dataclasses.dataclass(frozen=True)
class Input:
    """A pattern of files with images."""

    pattern: str
    kind: str
    """`tfrecord` or `images`."""
    name: str
    """For the column `dataset`."""
    split: str
    """For the column `split`: that of TFDS, or `all`."""
    spec: DatasetSpec | None = None
    """The TFDS data set that the files are of, if they are of one."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an image comes from, and its label."""

    file: str
    record: int | None = None
    """Number of the record within its file, from 0; None for an image file."""
    label: int = image_files.NO_LABEL

    @property
    def source(self) -> str:
        """The same in one text: FILE#RECORD, or FILE for an image file; UTF-8 (`shown`)."""
        file = shown(self.file)
        return file if self.record is None else f"{file}#{self.record}"


def parse(text: str, kind: str, data_dir: str | None, name: str | None = None) -> Input:
    """What --input stands for.

    Args:
      text: a pattern, or `tfds:NAME[:SPLIT]`.
      kind: `tfrecord` or `images`; or `auto`, to go by the pattern.
      data_dir: of TFDS; None for its own default.
      name: for the column `dataset`; None for `text`, or NAME.

    Raises:
      DataError: nothing matches, or it is not known what is in the files.
    """
    if text.startswith(_TFDS):
        found = _parse_tfds(text, data_dir)
        return dataclasses.replace(found, name=name or found.name)
    pattern = remote.as_pattern(text)
    if kind == "auto":
        kind = _guess(text)
    if remote.is_local(pattern) and os.path.isdir(remote.absolute(text)):
        raise DataError(f"--input: {text!r} is a folder; valid is a pattern, such as {text}/*.png.")
    _check_match(pattern, f"--input: no file matches {text!r}; valid is a pattern of files.")
    return Input(pattern, kind, shown(name or text), "all")


def _guess(text: str) -> str:
    if text.lower().endswith(IMAGE_SUFFIXES):
        return "images"
    if ".tfrecord" in posixpath.basename(text):
        return "tfrecord"
    raise DataError(
        f"--input: got {text!r}, which says neither TFRecord (*.tfrecord*) nor images "
        f"(*{', *'.join(IMAGE_SUFFIXES)}); add --input_format=tfrecord or --input_format=images."
    )


def _parse_tfds(text: str, data_dir: str | None) -> Input:
    name, _, split = text.removeprefix(_TFDS).partition(":")
    if name not in SPECS:
        raise DataError(
            f"--input: got {text!r}; valid is tfds:NAME or tfds:NAME:SPLIT, with NAME "
            f"{one_of(SPECS, name)}."
        )
    spec = SPECS[name]
    split = split or spec.test_split
    root = data_dir if data_dir and not remote.is_local(data_dir) else prepare.data_root(data_dir)
    folder = posixpath.join(root, spec.relative_dir)
    # As TFDS names its files: fashion_mnist-test.tfrecord-00000-of-00001, emnist-train.tfrecord-...
    files_name = spec.relative_dir.split("/")[0]
    pattern = posixpath.join(remote.literal(folder), f"{files_name}-{split}.tfrecord*")
    valid = f"{spec.train_split} or {spec.test_split}"
    if remote.is_local(root):
        prepare.check_counts(spec, root)
    _check_match(
        pattern,
        f"--input: there is no TFDS split {split!r} of {name} in {folder}; valid is {valid}, after "
        "python main.py --mode=prepare with the same --data_dir.",
    )
    if lacking := remote.missing_shards(pattern):
        raise DataError(
            f"--input: of the split {split!r} of {name} in {folder} {lacking} files are missing; "
            "copy them again, or move the folder away and run --mode=prepare."
        )
    return Input(pattern, "tfrecord", name, split, spec)


def _check_match(pattern: str, message: str) -> None:
    if not remote.some_match(pattern, f"--input: {pattern!r} cannot be looked for"):
        raise DataError(message)


def skipped(place: Place, reason: str) -> TaggedOutput:
    """An image that is left out, and why."""
    beam.metrics.Metrics.counter("tfp_ood", SKIPPED).inc()
    told = {"file": shown(place.file), "record": place.record, "reason": reason}
    return TaggedOutput(SKIPPED, told)


def _is_irregular(path: str) -> bool:
    """Whether a file of this machine is a pipe, say, which would be waited for without an end."""
    return remote.is_local(path) and os.path.exists(path) and not os.path.isfile(path)


class ReadImageFile(beam.DoFn):
    """Matched files -> (`Place`, encoded image), one each; what is too large is tagged."""

    def process(self, file: FileMetadata) -> Iterable:
        """Reads one file."""
        place = Place(file.path)
        if _is_irregular(file.path):
            yield skipped(place, _IRREGULAR)
        elif file.size_in_bytes > _MAX_BYTES:
            yield skipped(place, f"it has more than {_MAX_BYTES:,} bytes")
        else:
            try:
                yield place, remote.read(file.path)
            except OSError as error:
                yield skipped(place, error.strerror or str(error))


@dataclasses.dataclass(eq=False)
class ReadRecords(beam.DoFn):
    """TFRecord files of `tf.train.Example` -> (`Place`, encoded image); broken ones are tagged."""

    spec: DatasetSpec | None
    """The TFDS data set, if it is one: says how the features are called."""

    def process(self, file: FileMetadata) -> Iterable:
        """Reads one file, record after record: their numbers are known only in order."""
        if _is_irregular(file.path):
            yield skipped(Place(file.path), _IRREGULAR)
            return
        number = -1
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(remote.local_file(file.path))
            # It may be copied, or decompressed, which each format does with errors of its own.
            except Exception as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield skipped(Place(file.path, 0), f"it cannot be read ({reason})")
                return
            try:
                # By bytes: TensorFlow takes texts that are UTF-8 only.
                records = untuned(tf.data.TFRecordDataset(os.fsencode(path))).as_numpy_iterator()
                for number, record in enumerate(records):
                    yield self._encoded(Place(file.path, number), record)
            except tf.errors.DataLossError as error:
                reason = f"the file is damaged from here on ({error.message})"
                yield skipped(Place(file.path, number + 1), reason)
            except tf.errors.OpError as error:
                yield skipped(Place(file.path, number + 1), f"it cannot be read ({error.message})")

    def _encoded(self, place: Place, record: bytes) -> tuple[Place, bytes] | TaggedOutput:
        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            return skipped(place, "the record is not a tf.train.Example")
        keys = (self.spec.image_key,) if self.spec else _IMAGE_KEYS
        for key in keys:
            # Looking up a key that is missing would add it.
            values = features[key].bytes_list.value if key in features else ()
            if len(values) == 1:
                return dataclasses.replace(place, label=self._label(features)), values[0]
        reason = f"no feature {' or '.join(keys)} with one text of bytes"
        found = ", ".join(sorted(features)) or "none"
        return skipped(place, f"{reason}; it has {found}")

    def _label(self, features: object) -> int:
        for key in (self.spec.label_key,) if self.spec else _LABEL_KEYS:
            if key and key in features and len(features[key].int64_list.value) == 1:
                return int(features[key].int64_list.value[0])
        return image_files.NO_LABEL
