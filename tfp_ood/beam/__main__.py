"""Scores sets of images that outgrow a machine, with an exported model, by Apache Beam.

  python -m tfp_ood.beam --export=runs/quickstart/export --input='photos/*.jpg' \\
      --output=scores/photos --size_change=crop --channel_change=convert

writes scores/photos-00000-of-00004.parquet and so on: a row for every image, with the columns of
the score table, what the guard says, and the file that the image is from. What cannot be read or
decoded is listed in scores/photos-skipped-*.jsonl. Needs the extra: pip install '.[beam]'.

All other flags are Apache Beam's: --runner=DataflowRunner, FlinkRunner, SparkRunner and what they
take. Without --runner one process on this machine does the work.
"""

import argparse
import dataclasses
import difflib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfp_ood import devices
from tfp_ood.config import DataConfig
from tfp_ood.errors import DataError, UserError

if TYPE_CHECKING:  # it needs the extra
    from apache_beam.options.pipeline_options import PipelineOptions

_EXIT_WRONG_INPUT = 2
_LOCAL = ("direct", "switchingdirect", "fnapi")


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
        "python -m tfp_ood.beam",
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
    # What the keys `config.data.<key>` may be, so may these flags.
    keys = {field.name: field.metadata for field in dataclasses.fields(DataConfig)}
    for key, other in (
        ("size_change", "size than the model's"),
        ("channel_change", "number of channels"),
    ):
        what = f"For images of another {other}; error ends the run."
        add(f"--{key}", default="error", choices=keys[key]["choices"], help=what)
    size = "Images per call of the model; the default is what the export says suits it."
    add("--batch_size", type=_positive, help=size)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; valid is an integer of at least 1")
    return int(text)


def _run(argv: Sequence[str]) -> str:
    """Does what the command line says; returns what became of the images.

    Raises:
      UserError: whatever the user can mend.
    """
    flags, rest = _parser().parse_known_args(argv)
    import tfp_ood.beam.extra  # noqa: F401 - says what to install, before anything slow

    options = beam_options(rest)
    devices.leave_out_keras_3()
    devices.start_tensorflow()
    from apache_beam.io.filesystems import FileSystems

    from tfp_ood.beam import inference, pipeline, remote, sources

    FileSystems.set_options(options)  # such as the host of hdfs://, before anything is looked at
    export = inference.open_export(flags.export)
    source = sources.parse(flags.input, flags.input_format, flags.data_dir, flags.name)
    data = DataConfig(
        image_shape=export.image_shape,
        size_change=flags.size_change,
        channel_change=flags.channel_change,
    )
    output = remote.new_output(flags.output)
    job = pipeline.Job(source, export, data, output, flags.batch_size or export.batch_size)
    return _summary(*pipeline.run(job, options), output)


def beam_options(argv: Sequence[str]) -> "PipelineOptions":
    """Beam's options out of the flags that are not this program's.

    Args:
      argv: without them.

    Raises:
      UserError: a flag is neither this program's nor Beam's. Runners in Java have flags that only
        they know, so that with them only what looks like one of this program's is refused.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    options = PipelineOptions(list(argv))
    standard = options.view_as(StandardOptions)
    is_local = (standard.runner or "direct").lower().removesuffix("runner") in _LOCAL
    if is_local:
        # What Beam makes of DirectRunner fetches a program from the network, or falls back to a
        # runner that does not know WriteToParquet (github.com/apache/beam/issues/41078).
        standard.runner = "FnApiRunner"
    ours = re.findall(r"--\w+", _parser().format_usage())
    for argument in _unknown_to_beam(options, argv):
        name = argument.split("=")[0]
        close = difflib.get_close_matches(name, ours, 1, cutoff=0.8)
        if close or is_local:
            hint = f" (did you mean {close[0]}?)" if close else " (see --help)"
            raise UserError(f"got {argument!r}, a flag of neither this program nor Beam{hint}.")
    return options


def _unknown_to_beam(options: "PipelineOptions", argv: Sequence[str]) -> list[str]:
    """What Beam would discard with a warning that goes by unseen."""
    parsers = []
    options.get_all_options(add_extra_args_fn=parsers.append)
    return parsers[0].parse_known_args(list(argv))[1]


def _summary(scored: int | None, skipped: int | None, output: str) -> str:
    """One line: how many images were scored, how many left out, and where it all is.

    Raises:
      DataError: no image was scored.
    """
    where = f"{output}-*.parquet"
    if scored is None:
        return f"done, the runner does not tell how many images: {where}"
    left_out = f"{skipped:,} left out"
    if skipped:
        left_out += f" (listed in {output}-skipped-*.jsonl)"
    if not scored:
        raise DataError(f"No image was scored, {left_out}.")
    return f"{scored:,} images scored, {left_out}: {where}"


if __name__ == "__main__":
    sys.exit(main())
