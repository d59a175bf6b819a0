"""What data sets and model families are called in figures, tables and sentences."""

from collections.abc import Sequence

from tfp_ood.data.specs import CORRUPTIONS, FLIPS, REDUCTIONS, kept_label
from tfp_ood.families import TITLES

DISPLAY_NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "emnist_letters": "EMNIST letters",
    "omniglot": "Omniglot",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn_cropped": "SVHN",
    "celeb_a": "CelebA",
    "downsampled_imagenet_32x32": "ImageNet 32x32",
    "downsampled_imagenet_64x64": "ImageNet 64x64",
    "imagenet_resized_32x32": "ImageNet resized 32x32",
    "noise": "noise",
    "constant": "constant gray",
}
"""Names of the data set table; of paths, the last part is shown."""

_KEPT = 24, 12
"""Of labels that are longer: characters from the start, and from the end."""


def family(name: str) -> str:
    """The title of a model family; its name in the config if it has no other."""
    return TITLES.get(name, name)


def data_set(name: str) -> str:
    """What a set of the data set table is called; its name if it is none."""
    return DISPLAY_NAMES.get(name, name)


def labels(sets: Sequence[tuple[str, str]]) -> list[str]:
    """A short label for every (name, split), all different.

    ("mnist", "test") is "MNIST", and "MNIST (train)" where other splits of it are there too;
    "folder:/x/photos" is "photos", and "x/photos" where there is another "photos". Characters that
    cannot be shown are escaped, a new line as "\\n"; of long names the middle is left out.
    """
    full = [list(map(_shown, _candidates(name, split))) for name, split in sets]
    candidates = [[*map(_shortened, labels), *labels] for labels in full]
    level = [0] * len(sets)
    while True:
        current = [c[i] for c, i in zip(candidates, level, strict=True)]
        clashing = [
            k
            for k, label in enumerate(current)
            if current.count(label) > 1 and level[k] + 1 < len(candidates[k])
        ]
        if not clashing:
            return current
        for k in clashing:
            level[k] += 1


def _shown(label: str) -> str:
    """A label as a line of text; it never begins as what matplotlib leaves out of legends."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in label)
    return f"./{shown}" if shown.startswith("_") else shown


def _shortened(label: str) -> str:
    """A label of a length that a figure has room for."""
    start, end = _KEPT
    return label if len(label) <= start + end + 1 else f"{label[:start]}\u2026{label[-end:]}"


def _candidates(name: str, split: str) -> list[str]:
    """Labels from the shortest to one that is unique."""
    kind, colon, path = name.partition(":")
    if kind in REDUCTIONS:
        shortest = [f"own, {kind} to {path}"]
    elif kind in CORRUPTIONS:
        shortest = [f"own, {kind} {path}"]
    elif kind in FLIPS:
        shortest = [f"own, {kind.replace('_', ' ')}"]
    elif not colon:
        shortest = [data_set(name)]
    else:
        parts = path.rstrip("/").split("/")
        shortest = ["/".join(parts[-n:]) for n in range(1, len(parts))]
        shortest += [path, name]
        shortest = [label, *shortest] if (label := kept_label(name)) else shortest
    return [*shortest, f"{shortest[-1]} ({split})", f"{name} ({split})"]
