"""The experiment on rotated digits, as the command line knows it, and its stages."""

import functools

from tfp_ood import devices, stages
from tfp_ood.rotated import config as config_lib
from tfp_ood.rotated.config import RotatedConfig
from tfp_ood.workdir import WorkDir


def _start(config: RotatedConfig) -> None:
    """Starts TensorFlow; classifiers compute a batch as a whole."""
    devices.start_tensorflow(in_halves=False)


def _train(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.rotated import classify

    classify.train(config, workdir, data_dir)


def _evaluate(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    _start(config)
    from tfp_ood.rotated import predict

    predict.evaluate(config, workdir, data_dir)


def _report(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.rotated.report import write_report

    variants, index = config.model.variants, config.data.digit_index
    result = write_report(workdir.root, variants, index, config)
    stages.tell("report", result)


_STAGES = {
    "prepare": functools.partial(stages.prepare, _start),
    "train": _train,
    "evaluate": _evaluate,
    "report": _report,
}

ROTATED_DIGITS = stages.Experiment(
    name=config_lib.NAME,
    from_config_dict=config_lib.from_config_dict,
    describe_keys=config_lib.describe_keys,
    stages=_STAGES,
    combined={"run": tuple(_STAGES)},
)
"""Classifiers that are certain of digits turned upside down."""
