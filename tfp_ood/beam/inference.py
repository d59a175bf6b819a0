"""The exported model in Beam's RunInference.

Beam's own handlers for TensorFlow load with `tf.keras.models.load_model`, which reads no SavedModel
with signatures of its own, and ask for tensorflow_hub; hence this one.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from tfp_ood import devices
from tfp_ood.beam import remote
from tfp_ood.errors import ExportError, first_line

SIGNATURES = ("log_prob", "guard")
"""What an export has; the guard tells what log_prob does and more, so it alone is asked."""

_BATCH_SIZE = 250  # of exports that do not tell theirs, as those of earlier versions
_IN_EVERY_LOG_PROB = {"log_prob", "bits_per_dim"}
_IN_EVERY_GUARD = {"code_bits", "p_value", "score", "is_out_of_distribution", "reasons"}
_NOT_NUMBERS = {"is_out_of_distribution", "reasons"}


@dataclasses.dataclass(frozen=True)
class Export:
    """What the launching program knows of an exported model."""

    path: str
    """The folder of the SavedModel, on any file system of Beam."""
    image_shape: tuple[int, int, int]
    terms: tuple[str, ...]
    """What it tells beside log_prob and bits_per_dim, sorted: log_det, ..."""
    verdicts: tuple[str, ...]
    """The numbers that the guard tells further, sorted: code_bits, p_value, score, ..."""
    fingerprint: str
    """TensorFlow's, of the graphs and weights: another one for another model."""
    batch_size: int
    """Images that suit one call."""


def open_export(path: str) -> Export:
    """Reads what `export.bundle` wrote.

    Args:
      path: WORKDIR/export, or the SavedModel in it.

    Raises:
      ExportError: there is no SavedModel, it cannot be loaded, or lacks a signature or what one
        tells.
    """
    model = _saved_model(remote.absolute(path), path)
    try:
        with remote.local_saved_model(model) as folder:
            loaded = tf.saved_model.load(folder)
            signatures = loaded.signatures
            batch_size = int(loaded.batch_size()) if hasattr(loaded, "batch_size") else None
            fingerprint = tf.saved_model.experimental.read_fingerprint(folder).singleprint()
    # Damaged files make protobuf and TensorFlow raise whatever they please.
    except Exception as error:
        failure = f"--export: the SavedModel in {model} cannot be loaded"
        raise ExportError(f"{failure} ({first_line(error)}).") from error
    missing = [name for name in SIGNATURES if name not in signatures]
    if missing:
        raise ExportError(
            f"--export: the SavedModel in {model} lacks the signature {', '.join(missing)}; it has "
            f"{', '.join(sorted(signatures)) or 'none'}. Valid is what --mode=export writes."
        )
    images = signatures["log_prob"].structured_input_signature[1].get("images")
    if images is None or images.dtype != tf.uint8 or not images.shape[1:].is_fully_defined():
        raise ExportError(
            f"--export: log_prob of the SavedModel in {model} does not take images as uint8 "
            "[N, H, W, C]; valid is what --mode=export writes."
        )
    outputs = set(signatures["log_prob"].structured_outputs)
    judged = set(signatures["guard"].structured_outputs)
    untold = sorted((outputs | _IN_EVERY_GUARD) - judged)
    if untold:
        raise ExportError(
            f"--export: the guard of the SavedModel in {model} does not tell {', '.join(untold)}, "
            "as those of earlier versions; valid is what --mode=export writes now."
        )
    terms = tuple(sorted(outputs - _IN_EVERY_LOG_PROB))
    verdicts = tuple(sorted(judged - outputs - _NOT_NUMBERS))
    size = batch_size or _BATCH_SIZE
    return Export(model, tuple(images.shape[1:]), terms, verdicts, fingerprint, size)


def _saved_model(path: str, given: str) -> str:
    """Where in an export the SavedModel is."""
    try:
        for folder in (FileSystems.join(path, "model"), path):
            if FileSystems.exists(FileSystems.join(folder, "saved_model.pb")):
                return folder
    # Each file system has errors of its own, ValueError for one that is not installed among them.
    except Exception as error:
        raise ExportError(f"--export: {given!r} cannot be read ({error}).") from error
    raise ExportError(
        f"--export: got {given!r}, where there is no SavedModel; valid is the folder "
        "WORKDIR/export, which --mode=export writes."
    )


@dataclasses.dataclass(eq=False)
class ExportedModel(ModelHandler[np.ndarray, PredictionResult, Any]):
    """Runs the signature `guard` on batches of images, uint8 `Export.image_shape` each.

    The inference of an image is a dict of what they tell, Python values: float for float32, bool
    for is_out_of_distribution, str for reasons.
    """

    export: Export
    batch_size: int
    """Images per call; the last batch of a bundle may have fewer."""

    def __post_init__(self):
        super().__init__()

    def load_model(self) -> Any:
        """The loaded SavedModel; once for every process of a worker."""
        devices.keep_float32()
        with remote.local_saved_model(self.export.path) as folder:
            return tf.saved_model.load(folder)

    def run_inference(
        self,
        batch: Sequence[np.ndarray],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        """What the model tells of each image of a batch."""
        del inference_args  # the signatures take nothing but images
        images = tf.constant(np.stack(batch))
        outputs = model.signatures["guard"](images=images)
        told = {key: values.numpy().tolist() for key, values in outputs.items()}
        told["reasons"] = [words.decode() for words in told["reasons"]]
        for i, image in enumerate(batch):
            yield PredictionResult(image, {k: v[i] for k, v in told.items()}, self.export.path)

    def batch_elements_kwargs(self) -> Mapping[str, int]:
        """Batches of one size: no measuring of which size is fastest."""
        return {"min_batch_size": self.batch_size, "max_batch_size": self.batch_size}

    def get_num_bytes(self, batch: Sequence[np.ndarray]) -> int:
        """Bytes of a batch, for Beam's metrics."""
        return sum(image.nbytes for image in batch)

    def get_metrics_namespace(self) -> str:
        """Where Beam's metrics of the model are found."""
        return "tfp_ood"
