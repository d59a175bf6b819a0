"""Scores sets of images that outgrow a machine, with an exported model, by Apache Beam.

  python -m tfp_ood.beam_score --export=runs/quickstart/export --input='photos/*.jpg' \\
      --output=scores/photos --size_change=resize --channel_change=convert

writes scores/photos-00000-of-00004.parquet and so on: a row for every image, with the columns of
the score table, what the guard says, and the file that the image is from. What cannot be read or
decoded is listed in scores/photos-skipped-*.jsonl. Needs the extra: pip install 'tfp_ood[beam]'.

All other flags are Apache Beam's: --runner=DataflowRunner, FlinkRunner, SparkRunner and what they
take. Without --runner one process on this machine does the work.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence

from tfp_ood.errors import DataError, UserError

_EXIT_WRONG_INPUT = 2
_LOCAL_RUNNER = "FnApiRunner"
_BATCH_SIZE = 250  # as the client's


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with flags as the rest of the program does."""

    def error(self, message: str) -> None:
        """Raises a UserError where argparse would end the process."""
        raise UserError(f"{message} (see --help).")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit code: 0, or 2 for wrong input."""
    try:
        print(_run(list(sys.argv[1:] if argv is None else argv)))
    except UserError as error:
        print(f"tfp_ood: {error}", file=sys.stderr)
        return _EXIT_WRONG_INPUT
    return 0


def _parser() -> _Parser:
    # Abbreviations would take flags that are meant for Beam.
    parser = _Parser(
        "python -m tfp_ood.beam_score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--export", required=True, help="WORKDIR/export, on any file system of Beam.")
    add(
        "--input",
        required=True,
        help="Pattern of *.tfrecord* files or of image files (* within a folder, ** across "
        "folders), or tfds:NAME[:SPLIT], read from --data_dir.",
    )
    add("--output", required=True, help="How the names of the written files begin.")
    add(
        "--input_format",
        default="auto",
        choices=("auto", "tfrecord", "images"),
        help="What is in the files, where their names do not tell.",
    )
    add("--data_dir", help="Folder of TFDS; TFDS's default.")
    add("--name", help="For the column dataset; the default is --input.")
    add(
        "--size_change",
        default="error",
        choices=("error", "resize", "crop", "pad"),
        help="For images of another size than the model's; error ends the run.",
    )
    add(
        "--channel_change",
        default="error",
        choices=("error", "convert"),
        help="For images of another number of channels; error ends the run.",
    )
    add("--batch_size", type=_positive, default=_BATCH_SIZE, help="Images per call of the model.")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {value}; valid is an integer of at least 1")
    return value


def _run(argv: Sequence[str]) -> str:
    """Does what the command line says; returns what became of the images.

    Raises:
      UserError: whatever the user can mend.
    """
    flags, rest = _parser().parse_known_args(argv)
    import tfp_ood.beam  # noqa: F401 - says what to install, before anything slow

    options = _beam_options(rest)
    from apache_beam.io.filesystems import FileSystems

    from tfp_ood.beam import inference, pipeline, remote, sources
    from tfp_ood.config import DataConfig

    FileSystems.set_options(options)  # such as the host of hdfs://, before anything is looked at
    export = inference.open_export(flags.export)
    source = sources.parse(flags.input, flags.input_format, flags.data_dir, flags.name)
    data = DataConfig(
        image_shape=export.image_shape,
        size_change=flags.size_change,
        channel_change=flags.channel_change,
    )
    output = remote.new_output(flags.output)
    job = pipeline.Job(source, export, data, output, flags.batch_size)
    return _summary(pipeline.run(job, options), output)


def _beam_options(rest: Sequence[str]) -> "object":
    """Beam's PipelineOptions of the flags that are not ours.

    Raises:
      UserError: a flag is neither ours nor Beam's. Runners in Java have flags that only they know,
        so that with them only what looks like one of ours is refused.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    options = PipelineOptions(list(rest))
    standard = options.view_as(StandardOptions)
    if standard.runner in (None, "DirectRunner"):
        # What Beam makes of DirectRunner fetches a program from the network, or falls back to a
        # runner that does not know WriteToParquet (github.com/apache/beam/issues/41078).
        standard.runner = _LOCAL_RUNNER
    known = set(options.get_all_options())
    ours = [option for action in _parser()._actions for option in action.option_strings]
    for argument in rest:
        name = argument.split("=")[0]
        if not name.startswith("--") or name.lstrip("-").removeprefix("no_") in known:
            continue
        close = difflib.get_close_matches(name, ours, n=1, cutoff=0.8)
        if close or standard.runner == _LOCAL_RUNNER:
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"{name}: neither this program nor Beam has this flag{hint}.")
    return options


def _summary(counts: "object", output: str) -> str:
    """One line: how many images were scored, how many left out, and where it all is.

    Raises:
      DataError: no image was scored.
    """
    where = f"{output}-*.parquet"
    if counts.scored is None:
        return f"done, the runner does not tell how many images: {where}"
    left_out = f"{counts.skipped:,} left out"
    if counts.skipped:
        left_out += f" (listed in {output}-skipped-*.jsonl)"
    if not counts.scored:
        raise DataError(f"No image was scored, {left_out}.")
    return f"{counts.scored:,} images scored, {left_out}: {where}"


if __name__ == "__main__":
    sys.exit(main())
