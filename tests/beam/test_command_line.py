"""The Beam pipeline's command line where Apache Beam is not installed."""

import importlib
import sys

import pytest

from tfp_ood.beam import __main__ as beam_score
from tfp_ood.errors import UserError


@pytest.fixture(name="no_beam")
def _no_beam(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    for name in [n for n in sys.modules if n.startswith("tfp_ood.beam.") or n == "tfp_ood.beam"]:
        monkeypatch.delitem(sys.modules, name)


def test_the_extra_is_named(no_beam, capsys):
    with pytest.raises(UserError, match=r"pip install '.\[beam\]'"):
        importlib.import_module("tfp_ood.beam.extra")
    flags = ["--export=x", "--input=*.png", "--output=y", "--runner=DirectRunner"]
    assert beam_score.main(flags) == 2
    assert "pip install '.[beam]'" in capsys.readouterr().err


def test_help_needs_no_beam(no_beam, capsys):
    with pytest.raises(SystemExit) as ended:
        beam_score.main(["--help"])
    assert ended.value.code == 0
    assert "--size_change {error,resize,crop,pad}" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["abc", "0", "-3", "1.5"])
def test_a_number_that_is_none_is_named(given, capsys):
    flags = ["--export=a", "--input=b", "--output=c", f"--batch_size={given}"]
    assert beam_score.main(flags) == 2
    assert f"got '{given}'; valid is an integer of at least 1" in capsys.readouterr().err


def test_a_missing_flag_is_named(capsys):
    assert beam_score.main(["--export=x"]) == 2
    assert "required: --input, --output" in capsys.readouterr().err
