"""Command line: flags, checks and exit codes; `stages` does the rest.

tfp_ood: does a generative model know what it does not know? Trains a likelihood model on one set
of images, then compares the likelihoods of its own test images with those of foreign ones.

  python main.py --config=configs/quickstart.py --workdir=runs/quickstart

Any value of a config can be changed on the command line:

  python main.py --config=configs/quickstart.py --workdir=runs/mine \\
      --config.data.out_of_distribution=mnist,noise,folder:photos --config.train.num_steps=2000

Stages (--mode); each reads what the one before left in --workdir, and skips what is done:

  prepare    fetch the data sets that the config names into --data_dir
  train      train the model; after a kill the same command goes on where it was
  evaluate   likelihood of every image of every set: WORKDIR/scores/*.parquet
  sample     images drawn from the model: WORKDIR/samples
  report     figures, summary.json and index.html: WORKDIR/report
  run        all of these (the default)
  export     after them: the model, with a guard against unusual images, for programs that have
             TensorFlow alone, and its model card: WORKDIR/export
  audit      all of these, and a verdict: which foreign images would likelihood have let through,
             and which the guard: WORKDIR/audit/index.html (see configs/audit.py)
  monitor    with a finished run: have the images of --images drifted from its own, and which of
             them are foreign? WORKDIR/monitor/NAME/index.html

What a config comes to, with the changes of the command line, before anything runs:

  python main.py --mode=show --config=configs/quickstart.py --config.train.num_steps=2000

Finished runs side by side, on one page, WORKDIR/report/index.html:

  python main.py --workdirs=runs/a,runs/b,runs/c --workdir=runs/comparison

and beside the figures of Nalisnick et al. (2019):

  python main.py --mode=paper --workdirs=runs/a,runs/b,runs/c --workdir=runs/paper

The second experiment, on classifiers that are certain of digits turned upside down, is
configs/rotated_digits.py; it has the stages from `prepare` to `evaluate`, and `report`.

A config is a Python file and is executed: use only those you trust.
"""

import dataclasses
import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags
from ml_collections.config_flags import tuple_parser

from tfp_ood import devices, options, paths, signals, stages
from tfp_ood.atomic import full_disk_named
from tfp_ood.data import places
from tfp_ood.errors import DiskFullError, UserError, WorkerLostError, first_line
from tfp_ood.options import ConfigError
from tfp_ood.rotated.stages import ROTATED_DIGITS
from tfp_ood.stages import LIKELIHOOD, Experiment, ExperimentConfig
from tfp_ood.workdir import open_workdir

EXPERIMENTS = (LIKELIHOOD, ROTATED_DIGITS)
"""All there are; those with a name are meant by configs that have it as `experiment`."""

SHOW, PAPER = "show", "paper"
MODES = (*dict.fromkeys(mode for known in EXPERIMENTS for mode in known.modes), SHOW, PAPER)

_OVERRIDE = re.compile(r"--?(no)?config\.(?P<key>[^=]+)(=(?P<value>.*))?$", re.DOTALL)
_CONFIG_FILE_FAILED = "Error whilst parsing config file"  # how ml_collections begins
_SHORTCUTS = {
    "reference": ("evaluate", "score tables for a ratio"),
    "images": ("monitor", "guard that could judge them"),
}
"""Flag -> the group of the config with a key of this name, and what a config without it lacks."""

_EXIT_WRONG_INPUT = 2
_EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141  # as of a program that SIGPIPE ends


class _NamesParser(tuple_parser.TupleParser):
    """Tuples as `a,b` on the command line (`paths.listed`), or as Python's."""

    def parse(self, argument: object) -> tuple:
        if not isinstance(argument, str) or argument.startswith(("(", "[")):
            return super().parse(argument)
        parts = paths.listed(argument)
        are_numbers = all(re.fullmatch(r"-?\d+", part) for part in parts)
        return tuple(int(part) if are_numbers else part for part in parts)


def define_flags(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Defines this program's flags in `values`; `argv` holds the overrides of the config."""
    config_flags.register_flag_parser_for_type(tuple, _NamesParser())
    config_flags.DEFINE_config_file(
        "config", None, "Config file, such as configs/quickstart.py.", values, sys_argv=list(argv)
    )
    flags.DEFINE_string("workdir", None, "Folder of all that this run writes.", flag_values=values)
    flags.DEFINE_list("workdirs", [], "Finished runs to lay side by side.", flag_values=values)
    flags.DEFINE_string("data_dir", None, "Folder of TFDS; TFDS's default.", flag_values=values)
    told = "Trained run whose likelihood the ratio is to: --config.evaluate.reference."
    flags.DEFINE_string("reference", None, told, flag_values=values)
    told = "New images, as folder:PATH or array:PATH.npy: --config.monitor.images."
    flags.DEFINE_string("images", None, told, flag_values=values)
    flags.DEFINE_enum("mode", "run", MODES, "Stage to run.", flag_values=values)
    told = "Use the model in --workdir as it was trained, whatever --config says of that."
    flags.DEFINE_boolean("trained_config", False, told, flag_values=values)
    flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=values)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit code.

    0; 2 for wrong input; 130 for an interrupt (SIGINT) and 143 for SIGTERM, after which the same
    command goes on; 75 when another worker is gone, after which it goes on if all are started, or
    when the disk is full.
    """
    try:
        with full_disk_named():
            values = _parse(list(sys.argv if argv is None else argv))
            if values is not None:
                with signals.handled():
                    _run(values)
        return 0
    except (DiskFullError, WorkerLostError) as error:
        code, said = _EXIT_TRY_AGAIN, f"tfp_ood: {error}"
    except UserError as error:
        code, said = _EXIT_WRONG_INPUT, f"tfp_ood: {error}"
    except signals.Stopped as stopped:
        code, said = stopped.exit_code, f"\ntfp_ood: {stopped}"
    except KeyboardInterrupt:
        code = _EXIT_INTERRUPTED
        said = "\ntfp_ood: interrupted; the same command goes on from here."
    print(said, file=sys.stderr)
    return code


def _run(values: flags.FlagValues) -> None:
    """Does what checked flags say."""
    workdir = open_workdir(values.workdir or ".")
    if values.workdirs:
        from tfp_ood.reporting.compare.page import write_comparison
        from tfp_ood.reporting.paper.page import write_paper_page

        write = write_paper_page if values.mode == PAPER else write_comparison
        with workdir.locked():
            stages.tell("report", write(values.workdirs, values.workdir))
        return
    experiment, config = _typed(values.config)
    for flag, (group, lacking) in _SHORTCUTS.items():
        if given := values[flag].value:
            if not hasattr(config, group):
                raise UserError(f"--{flag}: this --config has no {lacking}.")
            with values.config.unlocked():  # the file may leave the group to its defaults
                values.config[group] = {**values.config.get(group, {}), flag: given}
    experiment, config = _typed(values.config)
    config = dataclasses.replace(config, data=places.absolute(config.data))
    if values.trained_config:
        given, config = config, workdir.as_trained(config)
        for difference in workdir.differences(given, "not"):
            print(f"as it was trained: {difference}")
    if values.mode == SHOW:
        print("\n".join(options.settings(config)))
        return
    key = "data.out_of_distribution"
    if values.mode in experiment.focus:
        key, config = experiment.focus[values.mode](config, workdir)
    places.check(config.data, None if values.mode == "prepare" else workdir, key)
    stages.run(experiment, config, workdir, values.data_dir, values.mode)


def _parse(argv: Sequence[str]) -> flags.FlagValues | None:
    """The parsed flags, or None where help was asked for and shown.

    Raises:
      UserError: a flag is unknown, missing or wrong.
    """
    argv = _last_overrides(argv)
    overrides = [m for m in map(_OVERRIDE.match, argv) if m]
    values = _values([arg for arg in argv if not _OVERRIDE.match(arg)])
    if values.help:
        print(_help(values))
        return None
    for flag in ("workdir", "data_dir", "reference"):
        paths.check_flag(flag, values[flag].value)
    paths.check_flag("workdirs", *values.workdirs)
    if values.workdirs:
        _check_comparison(values, bool(overrides))
        return values
    _check_run(values)
    _, config = _typed(values.config)
    given = [(m["key"], m["value"], stages.valid_values(m["key"], config)) for m in overrides]
    try:
        return _values(argv)
    except flags.IllegalFlagValueError as error:
        for key, value, valid in given:
            if f"--config.{key}=" in str(error):
                raise ConfigError(key, value, valid) from error
        raise


def _last_overrides(argv: Sequence[str]) -> list[str]:
    """Without overrides that a later one replaces: absl would join those of tuples."""
    keys = [m["key"] if (m := _OVERRIDE.match(arg)) else n for n, arg in enumerate(argv)]
    return [arg for n, arg in enumerate(argv) if keys[n] not in keys[n + 1 :]]


def _check_run(values: flags.FlagValues) -> None:
    """Refuses the command line of a run without a config or a work directory."""
    if values.mode == PAPER:
        raise UserError("--mode=paper: reads finished runs; name them as --workdirs=runs/a,runs/b.")
    if values["config"].value is None:
        raise UserError("--config is missing; valid is a config file, e.g. configs/quickstart.py.")
    path = config_flags.get_config_filename(values["config"]).partition(":")[0]
    if not os.path.isfile(path):
        raise UserError(f"--config: got {path!r}; valid is the path of an existing config file.")
    if not values.workdir and values.mode not in ("prepare", SHOW):
        raise UserError("--workdir is missing; valid is a folder for all that the run writes.")
    if values.images and values.mode not in ("monitor", SHOW):
        raise UserError("--images: are judged by a finished run; valid with --mode=monitor.")


def _check_comparison(values: flags.FlagValues, has_overrides: bool) -> None:
    """Refuses what says nothing about finished runs, and a missing place for their page."""
    of_one_run = ["config", "data_dir", "reference", "images", "trained_config"]
    of_one_run += ["mode"] * (values.mode != PAPER)
    given = ["config"] * has_overrides + [name for name in of_one_run if values[name].present]
    if given:
        raise UserError(f"--workdirs: reads finished runs; valid is without --{given[0]}.")
    if not values.workdir:
        raise UserError("--workdir is missing; valid is a folder for the page about --workdirs.")


def _values(argv: Sequence[str]) -> flags.FlagValues:
    """The flags of a command line.

    Raises:
      UserError: a flag is unknown or wrong.
    """
    values = flags.FlagValues()
    define_flags(values, argv)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        if isinstance(error, flags.IllegalFlagValueError) and "--config." in str(error):
            raise
        raise UserError(_reason(error)) from error
    # The config file has been run, and may have failed in any way that Python knows.
    except Exception as error:
        group = str(error).strip("\"'")
        if any(arg.startswith(f"--config.{group}.") for arg in argv):
            what = f"leaves {group!r} out; valid is one made from tfp_ood.config.defaults"
            raise UserError(f"--config: the file {what}, as those of configs/.") from error
        raise UserError(f"--config: the file fails: {type(error).__name__}: {error}.") from error
    if rest:
        raise UserError(f"got {rest[0]!r}; valid are flags only, as --name=value (see --help).")
    return values


def _typed(given: Any) -> tuple[Experiment, ExperimentConfig]:
    """The experiment that a config is of, and the typed config.

    Raises:
      ConfigError: a key or value is wrong.
      UserError: the file is not there or fails.
    """
    if not isinstance(given, ml_collections.ConfigDict):
        kind = type(given).__name__
        raise UserError(f"--config: get_config() gave {kind}; valid is ml_collections.ConfigDict.")
    try:
        name = given.get("experiment", "")
        experiment = next((known for known in EXPERIMENTS if known.name == name), None)
        if experiment is None:
            names = [known.name for known in EXPERIMENTS if known.name]
            raise ConfigError("experiment", name, options.one_of(names, name))
        return experiment, experiment.from_config_dict(given)
    except UserError:
        raise
    # ml_collections tells what is wrong with a config file at the first use of its values.
    except Exception as error:
        raise UserError(f"--config: {_one_line(error)}") from error


def _reason(error: Exception) -> str:
    """What a config file said, if that is the error, without its traceback; else its first line."""
    if _CONFIG_FILE_FAILED not in str(error):
        return _one_line(error)
    kind, _, said = str(error).strip().splitlines()[-1].partition(": ")
    return said if kind.endswith("ConfigError") else f"--config: the file fails: {kind}: {said}."


def _one_line(error: Exception) -> str:
    """The first line of what absl or ml_collections said."""
    return f"{first_line(error).rstrip('.')} (see --help)."


def _help(values: flags.FlagValues) -> str:
    names = ("config", "workdir", "workdirs", "data_dir", *_SHORTCUTS, "mode", "trained_config",
             "help")  # fmt: skip
    parts = ["Flags:", *(f"  --{name:14} {values[name].help}" for name in names)]
    for experiment in EXPERIMENTS:
        of = f" of configs/{experiment.name}.py" if experiment.name else ""
        parts += ["", f"Config{of}:"]
        parts += (f"  --config.{line}" for line in experiment.describe_keys())
    return "\n".join([(__doc__ or "").split("\n", 2)[2], *parts])


def console_main() -> None:
    """Entry point of the installed command `tfp-ood`."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # which may be of another encoding than names are
        sys.stdout.reconfigure(errors="backslashreplace")
    # Graphs are a million objects that stay: to look through them again and again takes seconds.
    gc.set_threshold(50_000, 10, 10)
    devices.leave_out_keras_3()
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # of `--help | head`, say; nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _EXIT_BROKEN_PIPE
    gc.freeze()  # nor does anybody wait until they are gone
    sys.exit(code)
