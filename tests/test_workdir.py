"""A work directory belongs to one training config."""

import dataclasses

import pytest

from tfp_ood.config import Config
from tfp_ood.errors import UserError
from tfp_ood.workdir import open_workdir


def test_another_config_is_refused_by_name(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.check(Config())
    workdir.claim(Config())
    workdir.claim(Config())
    before = workdir.config.read_text()
    other = dataclasses.replace(Config(), seed=3)
    for call in (workdir.check, workdir.claim):
        with pytest.raises(UserError, match=r"config\.seed was 0, now 3"):
            call(other)
    assert workdir.config.read_text() == before


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        open_workdir(tmp_path).check(Config())


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--workdir"):
        open_workdir(tmp_path / "file" / "run").claim(Config())


def test_images_that_changed_are_refused(tmp_path):
    workdir = open_workdir(tmp_path)
    workdir.check_images("any")
    workdir.claim(Config(), "old")
    workdir.check_images("old")
    for call in (workdir.check_images, lambda version: workdir.claim(Config(), version)):
        with pytest.raises(UserError, match=r"in_distribution have changed since the training"):
            call("new")
