"""Encoded images -> images in the model's shape -> rows of the table."""

import dataclasses
import json
import math
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from apache_beam.ml.inference.base import PredictionResult

from tfp_ood import units
from tfp_ood.beam.inference import Export
from tfp_ood.beam.sources import Input, Place, skipped
from tfp_ood.config import DataConfig
from tfp_ood.data import image_files, shaping
from tfp_ood.data.folders import shown
from tfp_ood.data.specs import DatasetSpec
from tfp_ood.errors import DataError, first_line
from tfp_ood.evaluation import images

METADATA_KEY = b"tfp_ood_beam"
"""Where the metadata of a shard hold its facts, as JSON. It is not the key of score tables, which
hold one whole set in order, with facts of the training that an exported model does not carry."""

SCORED = "scored"
"""The name of the metric that counts rows."""

_IMAGE = ("pixel_mean", "pixel_variance")  # of `images.columns`


def schema(source: Input, export: Export, data: DataConfig) -> pa.Schema:
    """Columns and metadata of every shard.

    Args:
      source: the images.
      export: the model.
      data: the model's shape, and how images are brought to it.
    """
    name = pa.dictionary(pa.int32(), pa.string())
    floats = ("log_prob", "bits_per_dim", *export.terms, *_IMAGE, *export.verdicts)
    fields = [
        ("dataset", name),
        ("split", name),
        ("index", pa.int64()),
        ("label", pa.int64()),
        *((column, pa.float64()) for column in floats),
        ("is_out_of_distribution", pa.bool_()),
        ("reasons", pa.string()),
        ("source", pa.string()),
    ]
    facts = {
        "dataset": source.name,
        "split": source.split,
        "input": shown(source.pattern),
        "preprocessing": {
            "image_shape": list(data.image_shape),
            "size_change": data.size_change,
            "channel_change": data.channel_change,
            "transposed": bool(source.spec and source.spec.transposed),
        },
        "export": export.path,
        "export_fingerprint": export.fingerprint,
    }
    encoded = json.dumps(facts, sort_keys=True)
    return pa.schema(fields, metadata={METADATA_KEY: encoded})


@dataclasses.dataclass(eq=False)
class ToImage(beam.DoFn):
    """(`Place`, encoded image) -> (`Place`, uint8 `image_shape`); what is no image is tagged."""

    data: DataConfig
    """The model's shape, and how images are brought to it."""
    spec: DatasetSpec | None
    """The TFDS data set, if it is one, whose images TFDS itself decodes: the same pixels as in
    training."""

    def process(self, element: tuple[Place, bytes]) -> Iterable:
        """Decodes one image and brings it to the model's shape.

        Raises:
          DataError: its shape is another, and may not be changed. That ends the pipeline.
        """
        place, content = element
        try:
            image = self._decoded(content)
        except DataError as error:
            yield skipped(place, str(error))
            return
        yield place, self._in_shape(image, place)

    def _decoded(self, content: bytes) -> np.ndarray:
        if self.spec is None:
            return image_files.decode_content(content)
        import tensorflow_datasets as tfds  # slow to import: only for its own sets

        feature = tfds.features.Image(shape=self.spec.native_shape)
        try:
            image = feature.decode_example(content)
            image = tf.ensure_shape(image, self.spec.native_shape).numpy()
        # Whatever TensorFlow's decoders raise of damaged content.
        except Exception as error:
            raise DataError(first_line(error)) from error
        return image.transpose(1, 0, 2) if self.spec.transposed else image

    def _in_shape(self, image: np.ndarray, place: Place) -> np.ndarray:
        try:
            plan = shaping.plan(place.source, image.shape, image.shape[:2], self.data)
        except DataError as error:
            # The flags of this program are the config's keys.
            raise DataError(str(error).replace("--config.data.", "--")) from None
        return plan.apply(tf.constant(image)).numpy()


@dataclasses.dataclass(eq=False)
class ToRow(beam.DoFn):
    """(`Place`, what the model tells) -> dict by column; what is not finite is tagged."""

    source: Input
    export: Export

    def process(self, element: tuple[Place, PredictionResult]) -> Iterable:
        """Makes the row of one image."""
        place, result = element
        told = result.inference
        numbers = ("log_prob", *self.export.terms, *self.export.verdicts)
        bad = [name for name in numbers if not math.isfinite(told[name])]
        if bad:
            yield skipped(place, f"{bad[0]} is not a finite number")
            return
        beam.metrics.Metrics.counter("tfp_ood", SCORED).inc()
        measures = images.columns(result.example[np.newaxis])
        yield {
            **told,
            "dataset": self.source.name,
            "split": self.source.split,
            "index": place.record or 0,
            "label": place.label,
            # Of the float64, as in score tables.
            "bits_per_dim": units.bits_per_dim(
                told["log_prob"], math.prod(self.export.image_shape)
            ),
            **{name: float(values[0]) for name, values in measures.items()},
            "source": place.source,
        }
