"""Imports never run backwards, in a circle, or from a room to the one beside it.

Every wing of `tfp_ood/` has a rank of its own; a file imports from lower ranks or its own wing.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "tfp_ood"
WINGS = (
    "root",  # the modules directly in tfp_ood/
    "metrics",
    "data",
    "models",
    "training",
    "evaluation",
    "detectors",
    "reporting",
    "export",
    "beam",
    "stages",
    "api",
    "rotated",
    "cli",
)
"""From the lowest rank to the highest."""

ON_TOP = ("stages", "cli")  # modules in tfp_ood/ that have a rank above the wings
WITHOUT_TENSORFLOW = ("root", "metrics", "detectors", "reporting")
HEAVY = {"tensorflow", "tensorflow_probability", "tensorflow_datasets", "tf_keras"}
STARTS_TENSORFLOW = {"tfp_ood.devices", "tfp_ood.keras"}  # what they are for
MAX_LINES = 330
MAX_ROOT_MODULES = 16
FILES = sorted(PACKAGE.rglob("*.py"))


def module(path):
    """The full name of a file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def wing(name):
    """The wing of a module of the package, by its full name."""
    first = name.split(".")[1] if "." in name else ""
    return first if first in WINGS else "root"


def imported(tree, everywhere=True):
    """Full names of all that a tree imports: inside functions too, or when the file is loaded."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.If):
            yield from imported(node, everywhere)


def of_package(names):
    """The modules of the package among imported names, which may be names inside them."""
    for name in names:
        if name.split(".")[0] == "tfp_ood":
            yield name if name in MODULES else name.rpartition(".")[0]


TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
ON_LOAD = {name: set(imported(tree, everywhere=False)) for name, tree in TREES.items()}


def reached(name):
    """All that loading a module imports, of this package and of others, through any other file."""
    found, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        parents = {".".join(current.split(".")[:n]) for n in range(1, current.count(".") + 1)}
        new = {*ON_LOAD.get(current, ()), *parents & set(MODULES)} - found
        found |= new
        waiting += [one for one in of_package(new) if one not in found or one in new]
    return found


def test_every_wing_has_a_rank():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(WINGS) - {"root", *ON_TOP}


@pytest.mark.parametrize("name", MODULES)
def test_imports_come_from_the_same_wing_or_lower_ranks(name):
    if name == "tfp_ood":  # whose names are imported when they are used, and by type checkers
        assert ON_LOAD[name] <= {"importlib", "typing.TYPE_CHECKING", "typing.Any"}
        return
    names = set(imported(TREES[name]))
    for other in of_package(names):
        assert WINGS.index(wing(other)) <= WINGS.index(wing(name)), other
    if name != "tfp_ood.keras":
        assert "tf_keras" not in {one.split(".")[0] for one in names}, "keras.py picks the Keras"


def circles():
    """Groups of modules each of which imports the others when it is loaded."""
    edges = {name: set(of_package(ON_LOAD[name])) - {name} for name in MODULES}
    after = {name: set(of_package(reached_by(edges, name))) for name in MODULES}
    return [name for name in MODULES if name in after[name]]


def reached_by(edges, name):
    found, waiting = set(), list(edges[name])
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += edges.get(current, ())
    return found


def test_no_file_imports_itself_through_others():
    assert circles() == []


def test_circles_are_found():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert {name for name in edges if name in reached_by(edges, name)} == {"a", "b", "c"}


@pytest.mark.parametrize("name", [name for name in MODULES if wing(name) in WITHOUT_TENSORFLOW])
def test_detectors_and_pages_never_load_tensorflow(name):
    if name in STARTS_TENSORFLOW:
        return
    assert not {one.split(".")[0] for one in reached(name)} & HEAVY


@pytest.mark.parametrize("name", [name for name in MODULES if wing(name) == "api"])
def test_the_package_for_programs_starts_tensorflow_when_a_model_is_used(name):
    assert not {one.split(".")[0] for one in reached(name)} & HEAVY


@pytest.mark.parametrize("name", [name for name in MODULES if wing(name) == "reporting"])
def test_rooms_of_reporting_do_not_import_each_other(name):
    rooms = {path.name for path in (PACKAGE / "reporting").iterdir() if path.is_dir()}
    own = name.split(".")[2] if name.count(".") > 1 else ""
    for other in of_package(imported(TREES[name])):
        room = other.split(".")[2] if other.count(".") > 1 else ""
        is_room = wing(other) == "reporting" and room in rooms - {"__pycache__"}
        assert not is_room or room == own, other


def test_sections_do_not_import_each_other():
    room = "tfp_ood.reporting.run.sections"
    for name in (name for name in MODULES if name.startswith(f"{room}.")):
        others = {one for one in of_package(imported(TREES[name])) if one.startswith(room)}
        assert not others, (name, others)


def test_detectors_know_tables_and_metrics_alone():
    for name in (name for name in MODULES if wing(name) == "detectors"):
        for other in of_package(imported(TREES[name])):
            allowed = wing(other) in ("root", "metrics", "detectors")
            assert allowed or other == "tfp_ood.evaluation.tables", (name, other)


def test_families_of_models_stand_beside_each_other():
    for name in (name for name in MODULES if name.startswith("tfp_ood.models.")):
        own = name.split(".")[2]
        for other in of_package(imported(TREES[name])):
            if other.startswith("tfp_ood.models.") and own in ("flows", "pixel_cnn", "vae"):
                part = other.split(".")[2]
                other_family = part in {"flows", "pixel_cnn", "vae"} - {own}
                assert not other_family, (name, other)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_root_is_small():
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_ROOT_MODULES


def test_main_is_flags_and_one_call():
    assert len((ROOT / "main.py").read_text().splitlines()) < 80
