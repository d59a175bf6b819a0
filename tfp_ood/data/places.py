"""Whether the images of a config, and the run that reads them, keep out of each other's way."""

import contextlib
import dataclasses
import itertools
import os
from typing import TypeVar

from tfp_ood import paths
from tfp_ood.config import ConfigError, DataConfig
from tfp_ood.data import folders, specs
from tfp_ood.data.specs import ArraySource, FolderSource, Source, parse
from tfp_ood.errors import UserError
from tfp_ood.workdir import WorkDir

_COMMA = """a name with a comma in it goes in double quotes, as in '"folder:a, b",mnist'"""
_IN, _OUT = "data.in_distribution", "data.out_of_distribution"

_Config = TypeVar("_Config", bound=DataConfig)
_Files = FolderSource | ArraySource


def absolute(data: _Config) -> _Config:
    """The same sets by names that mean the same from any working directory."""
    names = tuple(paths.absolute_name(name) for name in data.out_of_distribution)
    own = paths.absolute_name(data.in_distribution)
    return dataclasses.replace(data, in_distribution=own, out_of_distribution=names)


def check(data: DataConfig, workdir: WorkDir | None = None, key: str = _OUT) -> None:
    """Refuses names that stand for no set, sets that share images, and a run among its images.

    Paths are compared as places: another spelling, or a link, is the same folder. Images that sets
    share nonetheless, through links inside of folders or as copies, are told by their pixels
    (`pipeline.open_sets`).

    Args:
      data: names the sets.
      workdir: of the run; None for what writes none.
      key: where in the config the foreign sets are named.

    Raises:
      ConfigError: a name does not stand for a set; or two of the sets are, or hold, the same files.
      UserError: what a run writes would be among the images.
    """
    with contextlib.ExitStack() as stack:
        if workdir is not None:
            stack.enter_context(specs.arrays_kept_in(workdir.arrays))
        sources = _sources(data, key)
    own = sources[0]
    files = [one for one in sources if isinstance(one, _Files)]
    for one, other in itertools.combinations(files, 2):
        if paths.place(one.path) == paths.place(other.path):
            valid = f"different sets; {one.name!r} and {other.name!r} are the same"
            raise ConfigError(key, data.out_of_distribution, valid)
        are_folders = isinstance(one, FolderSource) and isinstance(other, FolderSource)
        if (
            one is own
            and are_folders
            and (_holds(one.path, other.path) or _holds(other.path, one.path))
        ):
            valid = f"a folder that shares no images with the in-distribution one, {one.path!r}"
            raise ConfigError(key, other.name, valid)
    if workdir is not None:
        for one in files:
            if isinstance(one, FolderSource):
                _check_run(one, workdir)


def _sources(data: DataConfig, key: str) -> list[Source]:
    """What the names of the sets stand for, the own one first."""
    own = _parse(data.in_distribution, _IN)
    try:
        return [own, *(_parse(name, key) for name in data.out_of_distribution)]
    except ConfigError as error:
        if len(data.out_of_distribution) > 1 and any(map(_is_path, data.out_of_distribution)):
            raise ConfigError(f"{str(error).rstrip('.')}; {_COMMA}.") from error
        raise


def _is_path(name: str) -> bool:
    return name.startswith(("folder:", "array:"))


def _parse(name: str, key: str) -> Source:
    kind, _, path = name.partition(":")
    if _is_path(name) and (valid := paths.not_valid(path)):
        raise ConfigError(key, name, f"{valid} after `{kind}:`")
    return parse(name, key)


def _holds(folder: str, path: str | os.PathLike[str]) -> bool:
    """Whether a folder of images is looked at where a path leads to."""
    if not paths.is_inside(path, folder):
        return False
    below = os.path.relpath(paths.place(path), paths.place(folder))
    return below == os.curdir or not any(part.startswith(".") for part in below.split(os.sep))


def _check_run(source: FolderSource, workdir: WorkDir) -> None:
    """Refuses a run that would add to the images of a folder, or replace them."""
    if any(_holds(root, workdir.root) for root in folders.roots(source.path)):
        raise UserError(
            f"--workdir: {workdir.root} is inside of {source.name}, to whose images the run would "
            "add its own; valid is a folder outside of it."
        )
    if paths.is_inside(source.path, workdir.root):
        below = os.path.relpath(paths.place(source.path), paths.place(workdir.root))
        if (first := below.split(os.sep)[0]) in workdir.folders():
            raise UserError(
                f"{source.name} is inside of {workdir.root / first}, which the run of this "
                "--workdir writes to; valid is another folder of images."
            )
