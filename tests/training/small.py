"""The training that the tests of this folder share, and its command line."""

import pathlib
import sys

from tfp_ood import atomic
from tfp_ood.config import Config, DataConfig, GlowConfig, TrainConfig, to_config_dict

ROOT = pathlib.Path(__file__).parents[2]

CONFIG = Config(
    data=DataConfig(num_validation=4),
    model=GlowConfig(num_levels=1, num_steps=1, num_hidden=4),
    train=TrainConfig(batch_size=8, num_steps=12, steps_per_epoch=2, warmup_steps=2),
)

OLD = [
    *("trajectory/00000099.parquet", "progress/00000099.parquet", "tensorboard/validation/events"),
    *("scores/mnist.test.parquet", "samples/samples.json", "report/index.html"),
    *("audit/audit.json", "monitor/mine/monitor.json", "export/model_card.md"),
]
"""What earlier trainings leave in a work directory."""


def command(workdir, data_dir):
    """The command line that trains CONFIG in another process."""
    config = to_config_dict(CONFIG).to_json()
    path = pathlib.Path(data_dir) / "config.py"
    text = f"import json, ml_collections\nFACTS = json.loads('''{config}''')\n"
    text += "FACTS['data'].update({k: tuple(FACTS['data'][k]) "
    text += "for k in ('image_shape', 'out_of_distribution')})\n"
    text += "def get_config():\n    return ml_collections.ConfigDict(FACTS)\n"
    with atomic.replacing(path) as whole:  # another process may be reading it
        whole.write_text(text)
    flags = [f"--config={path}", f"--workdir={workdir.root}", f"--data_dir={data_dir}"]
    flags.append("--config.data.out_of_distribution=noise")
    return [sys.executable, str(ROOT / "tests" / "tiny_main.py"), *flags, "--mode=train"]
