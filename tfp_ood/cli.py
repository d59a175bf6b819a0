"""Command line: flags, checks, then the stages of a run.

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

Finished runs side by side, on one page, WORKDIR/report/index.html:

  python main.py --workdirs=runs/a,runs/b,runs/c --workdir=runs/comparison

and beside the figures of Nalisnick et al. (2019):

  python main.py --mode=paper --workdirs=runs/a,runs/b,runs/c --workdir=runs/paper

The second experiment, on classifiers that are certain of digits turned upside down, is
configs/rotated_digits.py; it has the same stages but `sample`, `export` and `audit`.

A config is a Python file and is executed: use only those you trust.
"""

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags
from ml_collections.config_flags import tuple_parser

from tfp_ood import cluster, devices, signals
from tfp_ood import config as config_lib
from tfp_ood.atomic import FULL
from tfp_ood.config import Config, ConfigError
from tfp_ood.data import specs
from tfp_ood.errors import UserError, WorkerLostError
from tfp_ood.rotated import config as rotated_config
from tfp_ood.rotated import stages as rotated
from tfp_ood.rotated.config import RotatedConfig
from tfp_ood.workdir import WorkDir, open_workdir

PAPER = "paper"
MODES = ("prepare", "train", "evaluate", "sample", "report", "run", "export", "audit", PAPER)
_ASKED_FOR = ("export", "audit")  # stages that are no part of a run

_OVERRIDE = re.compile(r"--?(no)?config\.(?P<key>[^=]+)(=(?P<value>.*))?$", re.DOTALL)
_CONFIG_FILE_FAILED = "Error whilst parsing config file"  # how ml_collections begins
_EXIT_WRONG_INPUT = 2
_EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141  # as of a program that SIGPIPE ends


class _NamesParser(tuple_parser.TupleParser):
    """Tuples as `a,b` on the command line: paths and names need no quotes inside quotes."""

    def parse(self, argument: object) -> tuple:
        if isinstance(argument, str) and not argument.startswith(("(", "[")):
            parts = tuple(part.strip() for part in argument.split(",") if part.strip())
            return tuple(int(part) if re.fullmatch(r"-?\d+", part) else part for part in parts)
        return super().parse(argument)


def define_flags(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Defines this program's flags in `values`; `argv` holds the overrides of the config."""
    config_flags.register_flag_parser_for_type(tuple, _NamesParser())
    config_flags.DEFINE_config_file(
        "config", None, "Config file, such as configs/quickstart.py.", values, sys_argv=list(argv)
    )
    flags.DEFINE_string("workdir", None, "Folder of all that this run writes.", flag_values=values)
    flags.DEFINE_list("workdirs", [], "Finished runs to lay side by side.", flag_values=values)
    flags.DEFINE_string("data_dir", None, "Folder of TFDS; TFDS's default.", flag_values=values)
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
    argv = list(sys.argv if argv is None else argv)
    try:
        values = _parse(argv)
        if values is None:
            return 0
        with signals.handled():
            if values.workdirs:
                with open_workdir(values.workdir).locked():
                    _compare(values.workdirs, values.workdir, values.mode)
                return 0
            workdir = open_workdir(values.workdir or ".")
            config = _checked_config(values, workdir)
            run(config, workdir, values.data_dir, values.mode)
    except UserError as error:
        print(f"tfp_ood: {error}", file=sys.stderr)
        return _EXIT_WRONG_INPUT
    except WorkerLostError as error:
        print(f"tfp_ood: {error}", file=sys.stderr)
        return _EXIT_TRY_AGAIN
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(
            f"tfp_ood: the disk is full, or a quota is used up ({error}). What was finished is "
            "kept: make room and run the same command.",
            file=sys.stderr,
        )
        return _EXIT_TRY_AGAIN
    except signals.Stopped as stopped:
        print(f"\ntfp_ood: {stopped}", file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        print("\ntfp_ood: interrupted; the same command goes on from here.", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return 0


def run(config: Config | RotatedConfig, workdir: WorkDir, data_dir: str | None, mode: str) -> None:
    """Runs the stages of a mode, each as far as it is not done.

    Raises:
      UserError: whatever the user can mend; what was computed before is kept.
    """
    stages = _ROTATED_STAGES if isinstance(config, RotatedConfig) else _STAGES
    if mode not in (*stages, "run"):
        valid = ", ".join((*stages, "run"))
        raise UserError(f"--mode: got {mode!r}; valid with this config is one of {valid}.")
    wanted = _wanted(mode, tuple(stages))
    if (
        isinstance(config, Config)
        and {"report", "audit"} & set(wanted)
        and not config.data.out_of_distribution
    ):
        raise ConfigError("data.out_of_distribution", (), "at least one set to judge against")
    if isinstance(config, Config):
        devices.share_gpus(config.train.memory_growth)
    process = cluster.of(config)
    if not process.is_chief:  # whose stages read what the chief writes
        wanted = tuple(stage for stage in wanted if stage in ("prepare", "train"))
    with contextlib.ExitStack() as stack:
        if mode != "prepare":  # which needs no work directory
            workdir.check(config)
            if process.is_chief:
                stack.enter_context(workdir.locked())
        if "train" in wanted and process.num_workers > 1:
            _join(config, workdir)
        for stage in wanted:
            with _damage_named(config, data_dir):
                stages[stage](config, workdir, data_dir)


@contextlib.contextmanager
def _damage_named(config: Config | RotatedConfig, data_dir: str | None) -> Iterator[None]:
    """Makes stages say which file of a data set is damaged, if that is why they failed."""
    try:
        yield
    except Exception as error:
        if "tensorflow" in sys.modules:  # without it nothing reads data sets
            from tfp_ood.data import broken_records

            names = [config.data.in_distribution, *config.data.out_of_distribution]
            broken_records.name_file(error, names, data_dir)
        raise


def _join(config: Config, workdir: WorkDir) -> None:
    """Joins the other workers, if there is anything to train.

    That is possible before TensorFlow's first operation only, and preparing data may run some.
    """
    devices.start_tensorflow(look_for_devices=False)
    from tfp_ood.training import fit, strategy

    if not fit.is_trained(workdir):
        strategy.connect(config)


def _wanted(mode: str, stages: tuple[str, ...]) -> tuple[str, ...]:
    """The stages of a mode, in order: an audit is made of all, a run of all but the last two."""
    if mode == "audit":
        return stages
    return tuple(stage for stage in stages if stage not in _ASKED_FOR) if mode == "run" else (mode,)


def _parse(argv: Sequence[str]) -> flags.FlagValues | None:
    """The parsed flags, or None where help was asked for and shown.

    Raises:
      UserError: a flag is unknown, missing or wrong.
    """
    overrides = [m for m in map(_OVERRIDE.match, argv) if m]
    plain = [arg for arg in argv if not _OVERRIDE.match(arg)]
    values = _values(plain)
    if values.help:
        print(_help(values))
        return None
    if values.workdirs:
        _check_comparison(values, bool(overrides))
        return values
    _check_run(values)
    config = _typed(values.config)
    for override in overrides:
        _valid_values(override["key"], config)
    try:
        return _values(argv)
    except flags.IllegalFlagValueError as error:
        for override in overrides:
            if f"--config.{override['key']}=" in str(error):
                valid = _valid_values(override["key"], config)
                raise ConfigError(override["key"], override["value"], valid) from error
        raise


def _check_run(values: flags.FlagValues) -> None:
    """Refuses the command line of a run without a config or a work directory."""
    if values.mode == PAPER:
        raise UserError("--mode=paper: reads finished runs; name them as --workdirs=runs/a,runs/b.")
    if values["config"].value is None:
        raise UserError("--config is missing; valid is a config file, e.g. configs/quickstart.py.")
    path = config_flags.get_config_filename(values["config"]).partition(":")[0]
    if not os.path.isfile(path):
        raise UserError(f"--config: got {path!r}; valid is the path of an existing config file.")
    if not values.workdir and values.mode != "prepare":
        raise UserError("--workdir is missing; valid is a folder for all that the run writes.")


def _check_comparison(values: flags.FlagValues, has_overrides: bool) -> None:
    """Refuses what says nothing about finished runs, and a missing place for their page."""
    has_mode = values["mode"].present and values.mode != PAPER
    given = ["config"] * (has_overrides or values["config"].present) + ["mode"] * has_mode
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
    except flags.IllegalFlagValueError as error:
        if "--config." in str(error):
            raise
        raise UserError(_reason(error)) from error
    except flags.Error as error:
        raise UserError(_one_line(error)) from error
    # The config file has been run, and may have failed in any way that Python knows.
    except Exception as error:
        raise UserError(f"--config: the file fails: {type(error).__name__}: {error}.") from error
    if rest:
        raise UserError(f"got {rest[0]!r}; valid are flags only, as --name=value (see --help).")
    return values


def _valid_values(key: str, config: Config | RotatedConfig) -> str:
    """Words for what a key of a config of this kind may be.

    Raises:
      ConfigError: there is no such key.
    """
    if isinstance(config, RotatedConfig):
        return rotated_config.valid_values(key)
    return config_lib.valid_values(key, config.model.family)


def _typed(given: ml_collections.ConfigDict) -> Config | RotatedConfig:
    """The typed config, of the kind that it says.

    Raises:
      ConfigError: a key or value is wrong.
      UserError: the file is not there or fails.
    """
    if not isinstance(given, ml_collections.ConfigDict):
        kind = type(given).__name__
        raise UserError(f"--config: get_config() gave {kind}; valid is ml_collections.ConfigDict.")
    try:
        kind = rotated_config if "experiment" in given else config_lib
        return kind.from_config_dict(given)
    except UserError:
        raise
    # ml_collections tells what is wrong with a config file at the first use of its values.
    except Exception as error:
        raise UserError(f"--config: {_one_line(error)}") from error


def _checked_config(values: flags.FlagValues, workdir: WorkDir) -> Config | RotatedConfig:
    """The typed config; all that can be checked without TensorFlow is checked."""
    config = _typed(values.config)
    if values.trained_config:
        config = _as_trained(config, workdir)
    specs.parse(config.data.in_distribution, "data.in_distribution")
    for name in config.data.out_of_distribution:
        specs.parse(name, "data.out_of_distribution")
    return config


def _as_trained(config: Config | RotatedConfig, workdir: WorkDir) -> Config | RotatedConfig:
    """The config with what the model in the work directory depends on as it was trained.

    Raises:
      UserError: there is no such model, or it is none of this kind of config.
    """
    facts = workdir.trained_facts()
    if facts is None:
        raise UserError(f"--trained_config: nothing was trained in {workdir.root} yet.")
    try:
        trained = config.as_trained(facts)
    except ConfigError as error:
        raise UserError(
            f"--trained_config: {workdir.config} does not fit this --config ({error})"
        ) from error
    for difference in workdir.differences(config):
        print(f"as it was trained: {difference.replace(', now ', ', not ')}")
    return trained


def _reason(error: Exception) -> str:
    """What a config file said, if that is the error, without its traceback; else its first line."""
    if _CONFIG_FILE_FAILED not in str(error):
        return _one_line(error)
    kind, _, said = str(error).strip().splitlines()[-1].partition(": ")
    return said if kind.endswith("ConfigError") else f"--config: the file fails: {kind}: {said}."


def _one_line(error: Exception) -> str:
    """The first line of what absl or ml_collections said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[0].rstrip('.') if lines else type(error).__name__} (see --help)."


def _help(values: flags.FlagValues) -> str:
    keys = "\n".join(f"  --config.{line}" for line in config_lib.describe_keys())
    text = (__doc__ or "").split("\n", 2)[2]
    others = "\n".join(f"  --config.{line}" for line in rotated_config.describe_keys())
    flag_lines = _flag_lines(values)
    return (
        f"{text}\nFlags:\n{flag_lines}\n\nConfig:\n{keys}\n\n"
        f"Config of configs/rotated_digits.py:\n{others}"
    )


def _flag_lines(values: flags.FlagValues) -> str:
    names = ("config", "workdir", "workdirs", "data_dir", "mode", "trained_config", "help")
    return "\n".join(f"  --{name:14} {values[name].help}" for name in names)


def _prepare(config: Config | RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.data import prepare

    names = [config.data.in_distribution, *config.data.out_of_distribution]
    missing = prepare.missing(names, data_dir)
    if missing:
        devices.start_tensorflow(in_halves=isinstance(config, Config))
        from tfp_ood.data import shaping

        for spec in missing:  # what does not fit must be known before hours of download
            shaping.plan(spec.name, spec.native_shape, spec.native_shape[:2], config.data)
    prepare.prepare(names, data_dir)


def _train(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow()
    from tfp_ood.training import fit

    if not fit.is_trained(workdir):
        fit.train(config, workdir, data_dir)


def _evaluate(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow()
    from tfp_ood.evaluation import evaluate

    evaluate.evaluate(config, workdir, data_dir)


def _sample(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow()
    from tfp_ood.evaluation import evaluate

    evaluate.sample(config, workdir, data_dir)


def _report(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.reporting.run.report import write_report

    result = write_report(workdir.root, _judged_sets(config), dataclasses.asdict(config))
    print("\n".join(result.verdict))
    print(f"report: {result.path}")


def _export(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow()
    from tfp_ood.export import bundle

    print(f"export: {bundle.write_export(config, workdir, data_dir)}")


def _audit(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.reporting.audit.page import write_audit

    rate = config.export.false_alarm_rate
    result = write_audit(workdir.root, _judged_sets(config), rate)
    print("\n".join(result.verdict))
    print(f"audit: {result.path}")


def _judged_sets(config: Config) -> list[tuple[str, str]]:
    """(name, split) of the score tables, the in-distribution set's first."""
    sets = [(config.data.in_distribution, "test")]
    for name in config.data.out_of_distribution:
        source = specs.parse(name, "data.out_of_distribution")
        sets.append((name, specs.foreign_label(source)))
    return sets


def _compare(workdirs: Sequence[str], folder: str, mode: str) -> None:
    from tfp_ood.reporting.compare.page import write_comparison
    from tfp_ood.reporting.paper.page import write_paper_page

    result = (write_paper_page if mode == PAPER else write_comparison)(workdirs, folder)
    print("\n".join(result.verdict))
    print(f"report: {result.path}")


_STAGES: dict[str, Callable[[Config, WorkDir, str | None], None]] = {
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "sample": _sample,
    "report": _report,
    "export": _export,
    "audit": _audit,
}


_ROTATED_STAGES = {"prepare": _prepare, **rotated.STAGES}


def console_main() -> None:
    """Entry point of the installed command `tfp-ood`."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # of `--help | head`, say; nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _EXIT_BROKEN_PIPE
    sys.exit(code)
