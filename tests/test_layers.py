"""Imports never run backwards: a file imports from its own rank or lower ones."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
RANKS = {
    **dict.fromkeys(
        [
            "cluster",
            "config",
            "devices",
            "errors",
            "experiments",
            "families",
            "atomic",
            "keras",
            "options",
            "signals",
            "trajectory",
            "units",
            "workdir",
        ],
        0,
    ),
    "data": 1,
    "models": 2,
    "training": 3,
    "evaluation": 4,
    "metrics": 4,
    "detectors": 4,
    "reporting": 5,
    "export": 5,
    "beam": 6,
    "rotated": 6,
    "cli": 6,
}
FILES = sorted((ROOT / "tfp_ood").rglob("*.py"))


def imported(path):
    """Full names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(path):
    return path.relative_to(ROOT / "tfp_ood").with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_come_from_the_same_rank_or_below(path):
    if path == ROOT / "tfp_ood" / "__init__.py":
        assert not list(imported(path))
        return
    own = RANKS[part(path)]
    for name in imported(path):
        if name.startswith("tfp_ood."):
            assert RANKS[name.split(".")[1]] <= own, name
        if name.split(".")[0] == "tf_keras":
            assert part(path) == "keras", "only tfp_ood/keras.py picks the Keras"
        if part(path) == "reporting":
            assert not name.startswith(("tfp_ood.models", "tfp_ood.training", "tensorflow")), name


def test_main_is_flags_and_one_call():
    assert len((ROOT / "main.py").read_text().splitlines()) < 80
