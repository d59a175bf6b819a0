"""Files -> images -> RunInference -> Parquet, as one Beam pipeline."""

import dataclasses
import json
import os

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from tfp_ood.beam import remote, rows, sources
from tfp_ood.beam.inference import Export, ExportedModel
from tfp_ood.beam.sources import SKIPPED, Input
from tfp_ood.config import DataConfig
from tfp_ood.errors import EvaluationError

_MAIN = "main"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is scored, by what, and where it goes."""

    source: Input
    export: Export
    data: DataConfig
    """The model's shape, and how images are brought to it; nothing else of it is used."""
    output: str
    """How the names of all files begin that are written."""
    batch_size: int


def run(job: Job, options: PipelineOptions) -> tuple[int | None, int | None]:
    """Runs the pipeline to its end.

    Args:
      job: see `Job`.
      options: of Beam; names the runner.

    Returns:
      How many images were scored, and how many left out; None where the runner does not say.

    Raises:
      EvaluationError: the runner says that it did not end well.
      Exception: whatever the runner raises.
    """
    pipeline = beam.Pipeline(options=options)
    build(pipeline, job)
    result = pipeline.run()
    state = result.wait_until_finish() or result.state
    if state != PipelineState.DONE:
        raise EvaluationError(f"The pipeline ended as {state}; see the runner's log.")
    return _counted(result, rows.SCORED), _counted(result, SKIPPED)


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds all steps of a job: OUTPUT-*.parquet, and OUTPUT-skipped-*.jsonl if it is not empty."""
    found = _encoded(pipeline, job.source)
    images = (
        found[_MAIN]
        # One file may hold most of the images: its records go to all workers.
        | "SpreadImages" >> beam.Reshuffle()
        | "Decode"
        >> beam.ParDo(rows.ToImage(job.data, job.source.spec)).with_outputs(SKIPPED, main=_MAIN)
    )
    handler = KeyedModelHandler(ExportedModel(job.export, job.batch_size))
    told = (
        images[_MAIN]
        | "Score" >> RunInference(handler)
        | "ToRows"
        >> beam.ParDo(rows.ToRow(job.source, job.export)).with_outputs(SKIPPED, main=_MAIN)
    )
    _ = told[_MAIN] | "WriteParquet" >> beam.io.WriteToParquet(
        job.output,
        rows.schema(job.source, job.export, job.data),
        codec="snappy",
        file_name_suffix=".parquet",
    )
    _ = (
        (found[SKIPPED], images[SKIPPED], told[SKIPPED])
        | "AllSkipped" >> beam.Flatten()
        | "ToJson" >> beam.Map(json.dumps)
        | "WriteSkipped"
        >> beam.io.WriteToText(f"{job.output}-skipped", ".jsonl", skip_if_empty=True)
    )


def _encoded(pipeline: beam.Pipeline, source: Input) -> beam.pvalue.DoOutputsTuple:
    """(`Place`, encoded image) of each (the main output), and what was left out."""
    is_records = source.kind == "tfrecord"
    reader = sources.ReadRecords(source.spec) if is_records else sources.ReadImageFile()
    return (
        pipeline
        | "Pattern" >> beam.Create([os.fsencode(source.pattern)])
        | "Match" >> beam.FlatMap(remote.matched)
        | "SpreadFiles" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(reader).with_outputs(SKIPPED, main=_MAIN)
    )


def _counted(result: PipelineResult, name: str) -> int | None:
    """A metric of ours; None where the runner has none at all, 0 where nothing was counted."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace("tfp_ood"))["counters"]
    # Runners without metrics say so in ways of their own.
    except Exception:
        return None
    if not found:
        return None
    return sum(int(counter.result or 0) for counter in found if counter.key.metric.name == name)
