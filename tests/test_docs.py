"""What documents say of this repository is there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def test_every_row_on_reliability_names_tests_that_exist():
    lines = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 30
    for *_, tests in rows:
        path = None
        for name in re.findall(r"`([^`]+)`", tests.replace("`slow`", "")):
            path, _, test = name.rpartition("::") if "::" in name else (path, "", name)
            assert f"\ndef {test}(" in (ROOT / path).read_text(), name
