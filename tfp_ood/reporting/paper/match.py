"""Which of our runs stand beside which of the paper's models, and what differs between them."""

from collections.abc import Mapping
from typing import Any

from tfp_ood import families
from tfp_ood.options import flat
from tfp_ood.reporting import names
from tfp_ood.reporting.paper.facts import SETUPS
from tfp_ood.reporting.runs import Run

_BY_PART = {
    "svhn": "svhn_cropped",
    "celeb": "celeb_a",
    "imagenet": "downsampled_imagenet_32x32",
    "cifar100": "cifar100",
}
_SMALLER = ("model.num_steps", "model.num_hidden", "model.num_layers", "model.num_filters",
            "train.num_steps")  # fmt: skip


def kind(run: Run) -> str:
    """A key of `facts.SETUPS`, or another word where the paper has no such model."""
    return families.model_config(run.config["model"]).kind


def data_set(name: str) -> str:
    """The set of the paper that a name in a config stands for.

    A person's own array or folder is taken for the set that the last part of its path names, one
    of those that cannot be downloaded everywhere, as "array:/x/svhn_test.npy"; pages say so
    (`set_note`). Other names are returned as they are.
    """
    if name in names.DISPLAY_NAMES or ":" not in name:
        return name
    last = name.rstrip("/").rsplit("/", 1)[-1].lower()
    return next((known for part, known in _BY_PART.items() if part in last), name)


def set_note(name: str) -> str:
    """Words on a set that is taken for one of the paper's by its name; "" for others."""
    if data_set(name) == name:
        return ""
    known = names.data_set(data_set(name))
    return f"{name.rsplit('/', 1)[-1]} is taken for {known} by its name"


def pair_name(in_name: str, out_name: str) -> str:
    """What a pair of sets of the paper is called."""
    return f"{names.data_set(in_name)} -> {names.data_set(out_name)}"


def ours(run: Run) -> str:
    """Size and training of a run, in words."""
    model = {key: value for key, value in run.config["model"].items() if key != "family"}
    settings = ", ".join(f"{key} {value}" for key, value in model.items())
    train = run.config["train"]
    return (
        f"{run.summary.model['num_parameters']:,} parameters ({settings}); "
        f"{train['num_steps']:,} steps of {train['batch_size']} with {train['optimizer']}"
    )


def theirs(run: Run) -> str:
    """Size and training of the paper's model that stands beside a run, in words."""
    setup = SETUPS.get(kind(run))
    if setup is None:
        return "the paper has no such model, or nothing is known of it"
    settings = ", ".join(f"{key.split('.')[-1]} {_shown(v)}" for key, v in _wanted(run).items())
    return f"{setup.words}: {settings}; its number of parameters is not known"


def differences(run: Run) -> list[str]:
    """What differs between a run and the paper's model, in words; see also `is_smaller`."""
    setup = SETUPS.get(kind(run))
    if setup is None:
        return ["not a model of the paper, or one of which nothing is known"]
    settings = dict(flat(run.config))
    found = [
        f"{key} {_shown(value)}, the paper {_shown(wanted)}"
        for key, wanted in _wanted(run).items()
        if (value := settings.get(key)) != wanted
    ]
    return [*found, *([setup.differs] if setup.differs else [])]


def is_smaller(run: Run) -> bool:
    """Whether a run is smaller or shorter than the paper's, or the paper's is not known."""
    if kind(run) not in SETUPS:
        return True
    wanted, settings = _wanted(run), dict(flat(run.config))
    return any((settings.get(key) or 0) < wanted[key] for key in _SMALLER if key in wanted)


def _wanted(run: Run) -> Mapping[str, Any]:
    setup = SETUPS[kind(run)]
    return setup.gray if run.config["data"]["image_shape"][-1] == 1 else setup.color


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
