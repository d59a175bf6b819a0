"""CONTRIBUTING's recipes are true: a toy detector and a toy section, added by them, are everywhere.

They are added to a copy of the package: a file each, and a line with its import in a registry.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.reporting.pages import Parser

ROOT = pathlib.Path(__file__).parents[1]

DETECTOR = '''
"""A toy."""

import dataclasses

import numpy as np

from tfp_ood.detectors.base import Detector


@dataclasses.dataclass(frozen=True)
class Toy(Detector):
    """How far the length under the code is from that of held-out images, in bits."""

    name, title, needs, needs_held_out = "toy", "Toy distance", ("code_bits",), True
    mean: float | None = None

    def fit(self, held_out):
        return Toy(float(np.mean(held_out[0].statistics["code_bits"])))

    def score(self, tables):
        return np.abs(tables[0].statistics["code_bits"] - self.mean)
'''

NOISE = '''
"""A toy that says nothing."""

from tfp_ood.detectors.base import ColumnDetector


class Noise(ColumnDetector):
    """Noise with heavy tails, a function of the image."""

    name, title, is_combined = "noise", "Pure noise", True

    def of_columns(self, columns, xp):
        return 1.0 / (1e-9 + xp.abs(xp.sin(1e6 * columns["log_prob"])))
'''

SECTION = '''
"""A toy."""

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section


def section(evidence: Evidence) -> Section:
    """How many sets there are."""
    body = f"<p>{len(evidence.sets)} sets were judged.</p>"
    return Section(html.section("A toy section", body), {"count": len(evidence.sets)})
'''

PROGRAM = """
import json, pathlib, sys
import numpy as np
from tests.evaluation.fakes import table, with_columns, write
from tfp_ood import detectors
from tfp_ood.config import Config, DataConfig
from tfp_ood.detectors.combined import Combined
from tfp_ood.export.card import Facts, model_card
from tfp_ood.export.judged import judged
from tfp_ood.metrics.detection import detection_metrics
from tfp_ood.reporting.audit.page import write_audit
from tfp_ood.reporting.compare.page import write_comparison
from tfp_ood.reporting.run.report import write_report

root, rng = pathlib.Path(sys.argv[1]), np.random.default_rng(0)
sets = [("fashion_mnist", "test"), ("mnist", "test")]
tables = []
for name, split in [*sets, ("fashion_mnist", "validation")]:
    mean, size = (2.75, 8.3) if name == "mnist" else (3.0, 9.0)
    bits, sizes = rng.normal(mean, 0.1, 200), rng.normal(size, 0.2, 200)
    write(root / "run", bits, name, split, {"code_bits": 8 * sizes})
    made = with_columns(table(bits, name, split), code_bits=8 * sizes)
    terms = {"log_prob_latent": made.log_prob, "log_det": rng.normal(size=200)}
    tables.append(with_columns(made, **terms))
train = {"num_steps": 1, "batch_size": 1}
(root / "run" / "config.json").write_text(json.dumps({"seed": 0, "train": train}))
write_report(root / "run", sets)
write_audit(root / "run", sets, 0.1)
write_comparison([root / "run"], root / "all")

own, mnist, held_out = tables
all_of_it = judged([own, mnist], held_out, 0.1)
config = Config(data=DataConfig(out_of_distribution=("mnist",)))
facts = Facts(config, {"num_steps": 1, "seconds": 1}, all_of_it, all_of_it, ["log_prob"])
(root / "card.md").write_text(model_card(facts))

members = [one for one in detectors.DETECTORS.values() if one.is_combined]
aurocs = {}
for name in ("with", "without"):
    combined = Combined(tuple(members)).fit([held_out])
    scores = combined.score([own]), combined.score([mnist])
    aurocs[name] = detection_metrics(*scores)["auroc"]
    members = [one for one in members if one.name != "noise"]
(root / "aurocs.json").write_text(json.dumps(aurocs))
"""


def add(package, path, text, registry, line, before):
    """Adds a file, and an import and a line to a registry."""
    (package / path).write_text(text)
    names = package / registry
    content = names.read_text()
    assert content.count(before) == 1
    content = content.replace(before, line + before)
    module = path.removesuffix(".py").replace("/", ".")
    parent, _, last = module.rpartition(".")
    is_detector = parent == "detectors"
    imported = f"from tfp_ood.{module} import {last.title()}" if is_detector else ""
    imported = imported or f"from tfp_ood.{parent} import {last}"
    marker = "\nfrom tfp_ood."
    names.write_text(content.replace(marker, f"\n{imported}{marker}", 1))


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory):
    copy, root = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("runs")
    for name in ("tfp_ood", "tests"):
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=skipped)
    package = copy / "tfp_ood"
    for name, text in (("toy", DETECTOR), ("noise", NOISE)):
        line, registry = f"    {name.title()},\n", "detectors/__init__.py"
        add(package, f"detectors/{name}.py", text, registry, line, "    Mean,\n")
    add(
        package,
        "reporting/run/sections/a_toy.py",
        SECTION,
        "reporting/run/sections/__init__.py",
        '    "a_toy": a_toy.section,\n',
        '    "samples": samples.section,\n',
    )
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return root


def words(path):
    return " ".join(Parser(path.read_text(encoding="utf-8")).text)


def test_a_detector_is_in_the_summary(root):
    summary = json.loads((root / "run" / "report" / "summary.json").read_text())
    scores = summary["datasets"]["mnist/test"]["scores"]
    assert list(scores)[-3:] == ["toy", "noise", "combined"]
    assert set(scores["toy"]) == set(scores["log_prob"])


def test_a_detector_is_on_the_run_s_page(root):
    said = words(root / "run" / "report" / "index.html")
    assert "Toy distance as a detector" in said
    assert re.search(r"Toy distance \d\.\d{3} \d", said)


def test_a_detector_is_in_the_comparison(root):
    said = words(root / "all" / "report" / "index.html")
    assert "Toy distance" in said
    facts = json.loads((root / "all" / "report" / "comparison.json").read_text())
    assert "toy" in facts["runs"][0]["datasets"]["mnist/test"]["scores"]


def test_a_detector_is_in_the_audit_and_on_the_card(root):
    assert "| Toy distance |" in (root / "card.md").read_text()
    said = words(root / "run" / "audit" / "index.html")
    assert re.search(r"Toy distance \d\.\d{3} \d", said)
    # What guards gives reasons too.
    facts = json.loads((root / "run" / "audit" / "audit.json").read_text())
    assert "noise" in facts["sets"]["mnist/test"]["fired"]


def test_a_detector_that_is_all_noise_takes_little_away(root):
    aurocs = json.loads((root / "aurocs.json").read_text())
    assert aurocs["with"] != aurocs["without"]
    assert aurocs["with"] > aurocs["without"] - 0.02 > 0.9


def test_a_section_is_on_the_page_and_its_numbers_in_the_summary(root):
    assert "A toy section 2 sets were judged." in words(root / "run" / "report" / "index.html")
    summary = json.loads((root / "run" / "report" / "summary.json").read_text())
    assert summary["diagnosis"]["a_toy"] == {"count": 2}
