"""What `train.deterministic` costs: python -m tests.benchmarks.determinism

Steps/s of the small experiments of each family with it and without, in turns, each in a process of
its own, since it is a setting of the process. Prints one JSON object.
"""

import functools
import json

from tests.benchmarks.turns import Functions, seconds_of_processes
from tfp_ood.families import MODEL_CONFIGS

KINDS = {"usual": False, "deterministic": True}


def steps(family: str, pair: str, kind: str) -> Functions:
    """A function that trains one step of an experiment, on noise."""
    import tensorflow as tf

    from tests.benchmarks import small
    from tfp_ood import devices
    from tfp_ood.training import fit, optimizers

    devices.share_cores()
    if KINDS[kind]:
        devices.be_deterministic()
    config, model, images = small.on_noise(family, pair)
    uses_xla = fit.use_xla(config.train)
    model.compile(optimizer=optimizers.build(config.train), jit_compile=uses_xla)
    batches = iter(
        tf.data.Dataset.from_tensor_slices({"image": images}).batch(len(images)).repeat()
    )
    step = model.make_train_function()
    return {kind: lambda: step(batches)["bits_per_dim"].numpy()}


def main(pair: str = "fashion_mnist") -> None:
    """Measures all families and prints."""
    found = {}
    for family in MODEL_CONFIGS:
        makers = [functools.partial(steps, family, pair, kind) for kind in KINDS]
        seconds = seconds_of_processes(makers, rounds=8, round_seconds=2.0)
        per_second = {kind: round(1 / value, 2) for kind, value in seconds.items()}
        ratio = round(seconds["usual"] / seconds["deterministic"], 3)
        found[family] = {**per_second, "ratio": ratio}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
