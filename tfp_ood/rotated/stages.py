"""The stages of the experiment on rotated digits, after its data are there."""

import dataclasses
from collections.abc import Callable

from tfp_ood import devices
from tfp_ood.rotated.config import RotatedConfig
from tfp_ood.workdir import WorkDir


def _train(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow(in_halves=False)
    from tfp_ood.data import pipeline
    from tfp_ood.rotated import classify, predict

    if classify.missing_networks(config, workdir):
        # What cannot be judged afterwards must be known before training.
        predict.load_images(config, pipeline.open_sets(config.data, data_dir))
        classify.train(config, workdir, data_dir)


def _evaluate(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    devices.start_tensorflow(in_halves=False)
    from tfp_ood.rotated import predict

    predict.evaluate(config, workdir, data_dir)


def _report(config: RotatedConfig, workdir: WorkDir, data_dir: str | None) -> None:
    from tfp_ood.rotated.report import write_report

    sentences, path = write_report(
        workdir.root, config.model.variants, config.data.digit_index, dataclasses.asdict(config)
    )
    print("\n".join(sentences))
    print(f"report: {path}")


STAGES: dict[str, Callable[[RotatedConfig, WorkDir, str | None], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "report": _report,
}
"""Stage -> function of (config, workdir, data_dir), in the order of a run."""
