"""What documents say of this repository is there."""

import ast
import importlib.util
import pathlib
import re

import ml_collections
import pytest

from tfp_ood import config as config_lib
from tfp_ood.rotated import config as rotated_config

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = sorted(path.parent for path in (ROOT / "tfp_ood").rglob("__init__.py"))

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)


def links(text):
    """Where the links and images of a Markdown text lead, without those in code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^()\s]+)\)|<img src=\"([^\"]+)\"", text)


def anchors(text):
    """What the headings of a Markdown text are called in links."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short_and_leads_to_every_document():
    text = README.read_text()
    assert len(text.splitlines()) <= 130
    for path in DOCUMENTS[1:]:
        assert f"({path.relative_to(ROOT)})" in text, path.name


def test_readme_has_the_command_that_ci_runs():
    """Its first line with `-m pytest`, in a shell of its own."""
    command = next(line for line in README.read_text().splitlines() if "-m pytest" in line)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && ")
    assert command.endswith("python -m pytest -q")


@every_document
def test_links_and_images_lead_somewhere(path):
    found = [link or image for link, image in links(path.read_text())]
    for target in (t for t in found if not re.match(r"[a-z]+:", t)):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def test_every_image_is_shown():
    shown = {pathlib.Path(i or j).name for path in DOCUMENTS for i, j in links(path.read_text())}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} <= shown


@every_document
def test_rows_of_tables_have_as_many_cells_as_their_header(path):
    width = None
    for line in path.read_text().splitlines():
        cells = line.count("|") if line.startswith("|") else None
        assert width is None or cells in (None, width), line
        width = cells


@every_document
def test_configs_in_commands_are_there(path):
    """With the family, pair and size that a command names."""
    for name, given in re.findall(r"configs/([a-z_0-9]+\.py)(?::([a-z_0-9,]+))?", path.read_text()):
        file = ROOT / "configs" / name
        assert file.is_file(), name
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if given:
            assert isinstance(module.get_config(given), ml_collections.ConfigDict), given


@every_document
def test_config_keys_in_commands_are_there(path):
    lines = [*config_lib.describe_keys(), *rotated_config.describe_keys()]
    keys = {line.partition("=")[0] for line in lines}
    text = path.read_text()
    named = re.findall(r"--config\.([a-z_.]+[a-z])", text)
    named += re.findall(r"`config\.([a-z_]+\.[a-z_]+)", text)
    assert set(named) <= keys


@every_document
def test_programs_in_commands_are_there(path):
    for module in re.findall(r"python -m ((?:tfp_ood|tests)\.[a-z_.]+[a-z])", path.read_text()):
        file = ROOT.joinpath(*module.split("."))
        assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file(), module


@every_document
def test_files_of_this_repository_that_are_named_are_there(path):
    """Those whose whole path is given, such as `tfp_ood/data/specs.py`."""
    for name in re.findall(r"`((?:tfp_ood|tests|docs)/[a-z_0-9/.]+)`", path.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_folder_says_what_lives_there_and_what_it_may_import(folder):
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert said and "import" in said.lower()
    assert len(re.findall(r"[.?](?=\s|$)", said)) >= 2, "one sentence for each, at least"


def test_every_folder_of_the_package_is_a_package():
    for path in (ROOT / "tfp_ood").rglob("*.py"):
        assert path.parent in PACKAGES


def test_every_row_on_reliability_names_tests_that_exist():
    lines = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 30
    for *_, tests in rows:
        path = None
        for name in re.findall(r"`([^`]+)`", tests.replace("`slow`", "")):
            path, _, test = name.rpartition("::") if "::" in name else (path, "", name)
            assert f"\ndef {test}(" in (ROOT / path).read_text(), name


def rows_below(text, header):
    """The cells of a Markdown table whose first line begins so."""
    table = text[text.index(header) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


PAIRS = "| trained on | judged on | family | seeds |"
FAMILIES = {"Glow": "glow", "RealNVP": "real_nvp", "PixelCNN++": "pixel_cnn", "VAE": "vae"}


def test_the_table_of_results_is_that_of_the_detectors():
    """The program prints that one."""
    docs = ROOT / "docs"
    printed = rows_below((docs / "detectors.md").read_text(), PAIRS)
    shown = rows_below((docs / "results.md").read_text(), PAIRS)
    assert len(shown) == 8 * 4 and all(row in printed for row in shown)


def test_the_readme_rounds_what_the_detectors_table_says():
    printed = rows_below((ROOT / "docs" / "detectors.md").read_text(), PAIRS)
    means = {
        tuple(row[:3]): [float(re.match(r"[\d.]+", cell)[0]) for cell in row[4:]] for row in printed
    }
    own = foreign = ""
    rows = rows_below(README.read_text(), "| trained on | judged on | model |")
    assert len(rows) == 20
    for row in rows:
        own, foreign = row[0] or own, row[1] or foreign
        told = [float(re.match(r"[\d.]+", cell)[0]) for cell in row[3:]]
        expected = means[own, foreign, FAMILIES[row[2]]]
        for ours, value, most in zip(told, expected, (0, 0, 0.005, 0.005, 0.5), strict=True):
            assert abs(ours - value) <= most + 1e-9, row
