"""What an experiment is, how the stages of a mode are run, and the experiment on likelihoods.

A stage imports what it needs when it runs: reports are written, and wrong input is refused,
without starting TensorFlow.
"""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfp_ood import config as config_lib
from tfp_ood import devices, options
from tfp_ood.config import Config, ConfigError, DataConfig
from tfp_ood.data import manifest, specs
from tfp_ood.errors import UserError
from tfp_ood.training import cluster, kept
from tfp_ood.training.cluster import Cluster
from tfp_ood.workdir import TrainedConfig, WorkDir

if TYPE_CHECKING:  # loads matplotlib
    from tfp_ood.reporting.html import ReportResult
    from tfp_ood.training.trajectory import Judge


class ExperimentConfig(TrainedConfig, Protocol):
    """Config of any experiment: a frozen dataclass of values and of groups of values."""

    @property
    def data(self) -> DataConfig:
        """Which images."""

    def as_trained(self, facts: Mapping[str, Any]) -> "ExperimentConfig":
        """This config with the `training_facts` of another one."""


def valid_values(key: str, config: ExperimentConfig) -> str:
    """Words for what a key of a config of this kind may be.

    Raises:
      ConfigError: there is no such key.
    """
    return options.valid_values(type(config), key, options.groups(config))


Stage = Callable[[Any, WorkDir, str | None], None]
"""Function of (config, workdir, data_dir); reads what the stages before it left in `workdir`."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What the command line knows of an experiment; one for each kind of config."""

    name: str
    """What `config.experiment` says in its configs; "" for those that lack this key."""
    from_config_dict: Callable[[Mapping[str, Any]], ExperimentConfig]
    """Builds the typed config; a ConfigError names what is wrong."""
    describe_keys: Callable[[], Iterator[str]]
    """A line for every key of its configs."""
    stages: Mapping[str, Stage]
    """By name, in order."""
    combined: Mapping[str, tuple[str, ...]]
    """Modes of several stages, "run" among them."""
    checks: Mapping[str, Stage] = dataclasses.field(default_factory=dict)
    """By stage: what refuses before a training or a scoring what that stage would refuse after."""
    focus: Mapping[str, Callable[[Any, WorkDir], tuple[str, Any]]] = dataclasses.field(
        default_factory=dict
    )
    """By mode that judges a set of its own: its key in the config, and the config to run with."""
    judging: tuple[str, ...] = ()
    """Stages that need an out-of-distribution set to judge against."""
    join: Callable[[Any, WorkDir], None] | None = None
    """Joins the other workers of a training; None where one process trains alone."""

    @property
    def modes(self) -> dict[str, tuple[str, ...]]:
        """Each mode -> the stages that it runs, in order: one by its name, or several."""
        return {**{stage: (stage,) for stage in self.stages}, **self.combined}

    def cluster_of(self, config: ExperimentConfig) -> Cluster:
        """The workers that train a config.

        Raises:
          UserError: the environment does not name them as it should.
        """
        return cluster.of(config) if self.join else Cluster()


def run(
    experiment: Experiment,
    config: ExperimentConfig,
    workdir: WorkDir,
    data_dir: str | None,
    mode: str,
) -> None:
    """Runs the stages of a mode, each as far as it is not done.

    Raises:
      UserError: whatever the user can mend; what was computed before is kept.
    """
    if mode not in experiment.modes:
        valid = ", ".join(experiment.modes)
        raise UserError(f"--mode: got {mode!r}; valid with this config is one of {valid}.")
    wanted = experiment.modes[mode]
    checks = [experiment.checks[stage] for stage in wanted if stage in experiment.checks]
    if set(experiment.judging) & set(wanted) and not config.data.out_of_distribution:
        raise ConfigError("data.out_of_distribution", (), "at least one set to judge against")
    process = experiment.cluster_of(config)
    if not process.is_chief:  # whose stages read what the chief writes
        wanted = tuple(stage for stage in wanted if stage in ("prepare", "train"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(kept.between_stages())
        stack.enter_context(specs.arrays_kept_in(workdir.arrays))
        if mode != "prepare":  # which needs no work directory
            workdir.check(config)
            if process.is_chief:
                stack.enter_context(workdir.locked())
            # Not before the directory is the run's: what is refused leaves no trace.
            stack.enter_context(
                manifest.kept_in(
                    workdir.manifests, lambda: process.is_chief and workdir.config.exists()
                )
            )
        if "train" in wanted and process.num_workers > 1:
            experiment.join(config, workdir)
        first = next((stage for stage in wanted if stage in ("train", "evaluate")), "")
        for stage in wanted:
            before = checks if stage == first else []
            with _damage_named(config, data_dir):
                for step in (*before, experiment.stages[stage]):
                    step(config, workdir, data_dir)


@contextlib.contextmanager
def _damage_named(config: ExperimentConfig, data_dir: str | None) -> Iterator[None]:
    """Makes stages say which file of a data set is damaged, if that is why they failed."""
    try:
        yield
    except Exception as error:
        if "tensorflow" in sys.modules:  # without it nothing reads data sets
            from tfp_ood.data import broken_records

            broken_records.name_file(error, _set_names(config), data_dir)
        raise


def prepare(
    start: Callable[[Any], None], config: ExperimentConfig, workdir: WorkDir, data_dir: str | None
) -> None:
    """The stage that fetches the data sets of any config; `start` starts TensorFlow for it.

    Of folders it says what is left out, and what to know of them.
    """
    from tfp_ood.data import image_files
    from tfp_ood.data import prepare as fetching

    names = _set_names(config)
    # What is in folders, and what they lack, must be known before hours of download too.
    for line in image_files.remarks(names, config.data.unreadable):
        print(line, file=sys.stderr)
    missing = fetching.missing(names, data_dir)
    if missing:
        start(config)
        from tfp_ood.data import shaping

        for spec in missing:  # what does not fit must be known before hours of download
            shaping.plan(spec.name, spec.native_shape, spec.native_shape[:2], config.data)
    fetching.prepare(names, data_dir)


def tell(stage: str, result: "ReportResult") -> None:
    """Prints the outcome of a stage that ends in a page."""
    print("\n".join([*result.verdict, f"{stage}: {result.path}"]))


def _set_names(config: ExperimentConfig) -> list[str]:
    return [config.data.in_distribution, *config.data.out_of_distribution]


def _start(config: Config, look_for_devices: bool = True) -> None:
    """Starts TensorFlow as the config says; models compute batches in two halves."""
    devices.share_gpus(config.train.memory_growth)
    devices.start_tensorflow(look_for_devices=look_for_devices)


def _join(config: Config, workdir: WorkDir) -> None:
    """Joins the other workers, if there is anything to train.

    That is possible before TensorFlow's first operation only, and preparing data may run some.
    """
    _start(config, look_for_devices=False)
    from tfp_ood.training import fit, strategy

    if not fit.is_trained(workdir):
        strategy.connect(config)


def _train(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.training import fit

    if not fit.is_trained(workdir):
        fit.train(config, workdir, data_dir, _judge())


def _judge() -> "Judge":
    """The combined detector, for training to watch."""
    from tfp_ood import detectors
    from tfp_ood.evaluation import images
    from tfp_ood.evaluation.code_length import in_graph
    from tfp_ood.metrics.detection import detection_metrics
    from tfp_ood.training.trajectory import Columns, Judge

    def measure(pictures: np.ndarray) -> Columns:
        return {**images.columns(pictures), "code_bits": np.float64(in_graph.code_bits(pictures))}

    def aurocs(held_out: Columns, own: Columns, others: Sequence[Columns]) -> list[float]:
        fitted = detectors.DETECTORS[detectors.COMBINED].fit_columns(held_out)
        in_scores, *scores = (fitted.of_columns(columns, np) for columns in (own, *others))
        return [detection_metrics(in_scores, one)["auroc"] for one in scores]

    return Judge(measure, aurocs)


def _evaluate(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.evaluation import evaluate

    evaluate.evaluate(config, workdir, data_dir)


def _check_evaluate(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Refuses a reference that cannot score these images."""
    if config.evaluate.reference:
        _start(config)
        from tfp_ood.evaluation import reference

        reference.facts(config, workdir)


def _sample(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.evaluation import samples

    samples.sample(config, workdir, data_dir)


def _report(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.reporting.run.report import write_report

    tell("report", write_report(workdir.root, _judged_sets(config), config))


def _check_export(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    """Refuses fewer held-out images than a guard needs at the false-alarm rate."""
    _start(config)
    from tfp_ood.export import bundle

    bundle.check_held_out(config, data_dir)


def _export(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.export import bundle

    print(f"export: {bundle.write_export(config, workdir, data_dir)}")


def _audit(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.reporting.audit.page import write_audit

    rate = config.export.false_alarm_rate
    tell("audit", write_audit(workdir.root, _judged_sets(config), rate))


def _monitoring(config: Config, workdir: WorkDir) -> tuple[str, Config]:
    """See `Experiment.focus`; refuses to begin without a finished run."""
    if workdir.weights is None:
        raise UserError(f"--mode=monitor: no model was trained in {workdir.root} yet.")
    return "monitor.images", config.monitoring()


def _monitor(config: Config, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.data import pipeline
    from tfp_ood.reporting.monitor.page import write_monitor

    (name,), rate = config.data.out_of_distribution, config.export.false_alarm_rate
    split = pipeline.open_split(name, "out", config.data, data_dir)
    look = functools.partial(pipeline.at, split)
    tell("monitor", write_monitor(workdir.root, _judged_sets(config), rate, config.monitor, look))


def _judged_sets(config: Config) -> list[tuple[str, str]]:
    """(name, split) of the score tables, the in-distribution set's first."""
    names = config.data.out_of_distribution
    sets = [(one, specs.out_split(specs.parse(one, "data.out_of_distribution"))) for one in names]
    return [(config.data.in_distribution, "test"), *sets]


_RUN = ("prepare", "train", "evaluate", "sample", "report")

LIKELIHOOD = Experiment(
    name="",
    from_config_dict=config_lib.from_config_dict,
    describe_keys=config_lib.describe_keys,
    stages={
        "prepare": functools.partial(prepare, _start),
        "train": _train,
        "evaluate": _evaluate,
        "sample": _sample,
        "report": _report,
        "export": _export,
        "audit": _audit,
        "monitor": _monitor,
    },
    combined={
        "run": _RUN,
        "audit": (*_RUN, "export", "audit"),
        "monitor": ("prepare", "evaluate", "monitor"),
    },
    checks={"evaluate": _check_evaluate, "export": _check_export, "monitor": _check_export},
    focus={"monitor": _monitoring},
    judging=("report", "audit", "monitor"),
    join=_join,
)
"""Likelihood models of images, and what they take foreign images for."""
