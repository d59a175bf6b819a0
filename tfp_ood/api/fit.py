"""Training from Python: the stages of the command line, on images in memory too."""

import contextlib
import dataclasses
import io
import os
import pathlib
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np

from tfp_ood import atomic, paths, signals, stages
from tfp_ood.api import named
from tfp_ood.api.named import Images
from tfp_ood.api.run import Run
from tfp_ood.config import Config, defaults, from_config_dict
from tfp_ood.data import places, specs
from tfp_ood.errors import UserError
from tfp_ood.evaluation import asked
from tfp_ood.workdir import WorkDir, open_workdir

LARGEST = 64
"""Pixels: images with a longer side are cropped or resized, as in configs/audit.py."""
_SMALL_SHAPE = (32, 32, 3)
_PATIENCE = 600.0

_CHECKS = tuple(dict.fromkeys(stages.LIKELIHOOD.checks.values()))
_FIT = dataclasses.replace(
    stages.LIKELIHOOD,
    combined={**stages.LIKELIHOOD.combined, "fit": ("prepare", "train", "evaluate")},
    checks={"evaluate": lambda *given: [check(*given) for check in _CHECKS]},
)
"""Without a report, and held to what a guard needs before the training."""


def fit(
    images: Images,
    *,
    workdir: str | os.PathLike[str],
    out_of_distribution: Images | Iterable[Images] = (),
    config: Config | Mapping[str, Any] | ml_collections.ConfigDict | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    verbose: bool = True,
) -> Run:
    """Trains a model as `python main.py` does, scores its sets, and writes the report.

    The work directory is the same as the command line's, and both go on in it where the other was
    stopped. The same call again with the same images does what is left, which may be nothing.

    Args:
      images: to train on; a tenth of an array or folder is held out for the test, and as many or,
        of small sets, 40 to fit the detector (`docs/own_images.md`). An array is kept in the work
        directory.
      workdir: folder for all that the run writes.
      out_of_distribution: sets to judge the model against, each as `images`, or several arrays by
        what they are to be called. Without any there is no report, and fewer images than a detector
        needs are refused.
      config: what to train; `default_config(images)` if it is not given. Its
        `data.in_distribution` is replaced by `images`, and its `data.out_of_distribution` by the
        sets that are given, if there are any.
      data_dir: of TensorFlow Datasets; its own default if it is not given.
      verbose: whether the progress is shown.

    Returns:
      The run.

    Raises:
      UserError: whatever can be mended, as the command line says it, and before the training if it
        can be known: images of another kind or shape than the config says, a work directory of
        another training or in use, a set that cannot be fetched. DiskFullError, which is one, at
        any time: the same call goes on.
      KeyboardInterrupt: Ctrl-C, after the step that was being trained; the same call goes on.
    """
    paths.check_flag("workdir", os.fspath(workdir))
    place = open_workdir(workdir)
    given = default_config(images) if config is None else typed(config)
    others = named.sets(out_of_distribution)
    known = [_trained_on(place), *asked.noted(place).get("out_of_distribution", [])]
    called, files = [], []
    for one in (images, *others):
        name, file = named.name(one, place, [*known, *called])
        called.append(name)
        files.append(file)
    own, *names = called
    if not names and config is not None:
        names = given.data.out_of_distribution
    data = dataclasses.replace(given.data, in_distribution=own, out_of_distribution=tuple(names))
    made = from_config_dict(
        dataclasses.asdict(dataclasses.replace(given, data=places.absolute(data)))
    )
    _check_array(place, own)
    root = None if data_dir is None else os.fspath(data_dir)
    paths.check_flag("data_dir", root)
    arrays = {path: values for one in files for path, values in one.items()}
    with contextlib.ExitStack() as stack:
        for context in (_shown(verbose), _stoppable(), atomic.full_disk_named()):
            stack.enter_context(context)
        for name in (name for name in called if not specs.kept_array(name)):
            key = "data.in_distribution" if name is own else "data.out_of_distribution"
            specs.parse(name, key)  # what all workers refuse, and not the first alone
        stack.enter_context(_kept(arrays, made, place))
        places.check(made.data, place)
        experiment, mode = (stages.LIKELIHOOD, "run") if names else (_FIT, "fit")
        stages.run(experiment, made, place, root, mode)
        if not names and stages.LIKELIHOOD.cluster_of(made).is_chief:
            rate = {"false_alarm_rate": made.export.false_alarm_rate}
            with place.locked():
                asked.note(place, {"out_of_distribution": (), **asked.noted(place), **rate})
    return Run(made, place.root, place.weights or "")


def default_config(images: Images) -> Config:
    """A small Glow that fits images, and trains in minutes on two cores.

    Args:
      images: an array, or what else `fit` takes.

    Returns:
      Of images whose sides two levels of the flow can halve, and are at most 64 pixels, their own
      shape; of others one that is near. Folders, and larger images, are cropped and resized to
      32x32 pixels in colour, as in configs/audit.py; of an array, those more than twice as long as
      wide are resized alone. `dataclasses.replace` changes it.

    Raises:
      UserError: the images are none.
    """
    shape, change = _model_shape(named.native_shape(images))
    config = defaults("glow")
    config.data.image_shape = shape
    config.data.size_change = change
    config.data.channel_change = "convert"  # so that any set can be judged
    config.data.unreadable = "skip"
    config.data.out_of_distribution = ()
    halvings = min((side & -side).bit_length() - 1 for side in shape[:2])
    config.model.num_levels = min(halvings, 3 if min(shape[:2]) >= 32 else 2)
    config.train.num_steps = 600
    config.train.steps_per_epoch = 200
    config.train.warmup_steps = 50
    config.train.learning_rate = 4e-3
    return from_config_dict(config)


def _model_shape(native: tuple[int | None, ...]) -> tuple[tuple[int, int, int], str]:
    """The shape of a model of images of this shape, and how other sizes are brought to it."""
    if None in native:
        return _SMALL_SHAPE, "crop"
    if max(native[:2]) > LARGEST:
        # A crop is the middle of an image, which is to be at least half of it.
        return _SMALL_SHAPE, "crop" if max(native[:2]) <= 2 * min(native[:2]) else "resize"
    units = [4 if side >= 8 else 2 for side in native[:2]]
    sides = [max(u, round(side / u) * u) for side, u in zip(native[:2], units, strict=True)]
    # Where a side has to change, all of the image is to be seen.
    return (*sides, native[2]), "crop" if [*native[:2]] == sides else "resize"


def typed(config: Config | Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """A config of likelihood models.

    Raises:
      ConfigError: names the first thing that is wrong.
    """
    given = dataclasses.asdict(config) if isinstance(config, Config) else config
    if isinstance(given, ml_collections.ConfigDict):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        kind = type(config).__name__
        raise UserError(
            f"config: got {kind}; valid is a tfp_ood.Config, such as that of "
            "tfp_ood.default_config, or what get_config() of a file in configs/ gives."
        )
    return from_config_dict(given)


def _trained_on(place: WorkDir) -> str:
    """The name of the set that a model was, or is being, trained on; "" where there is none."""
    return (place.trained_facts() or {}).get("data", {}).get("in_distribution", "")


def _check_array(place: WorkDir, own: str) -> None:
    """Refuses another array than the one that a model was, or is being, trained on.

    Raises:
      UserError: it is another.
    """
    theirs = _trained_on(place)
    if theirs != own and all(map(specs.kept_array, (theirs, own))):
        raise UserError(
            f"{place.root} holds a model of another array of images than the one given now; use "
            "another workdir, or the images that it was trained on."
        )


@contextlib.contextmanager
def _kept(
    arrays: Mapping[pathlib.Path, np.ndarray], config: Config, place: WorkDir
) -> Iterator[None]:
    """Leaves arrays in files that their content names; what is refused in the block does not.

    Raises:
      UserError: the work directory is of another training, or in use.
    """
    with contextlib.ExitStack() as stack:
        is_chief = stages.LIKELIHOOD.cluster_of(config).is_chief
        if is_chief:  # as `stages.run`
            stack.enter_context(place.locked())
        place.check(config)  # before anything is written
        new = [path for path in arrays if not path.exists()]
        for path in new:
            if not is_chief:
                _await(path)
                continue
            with atomic.replacing(path) as temporary:
                atomic.save_array(temporary, arrays[path])
    try:
        yield
    except UserError:
        if is_chief:
            _forget(new, place)
        raise


def _await(path: pathlib.Path) -> None:
    """Waits for a file that the chief of several workers writes.

    Raises:
      UserError: it does not come.
    """
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            raise UserError(
                f"{path} was not written within {_PATIENCE:.0f} s by the first of the workers; all "
                "are to be given the same images, and a workdir that all share."
            )
        time.sleep(0.1)


def _forget(arrays: list[pathlib.Path], place: WorkDir) -> None:
    """Removes arrays of a run that was refused, unless another one has begun there."""
    with contextlib.suppress(UserError), place.locked():
        if not place.config.exists():
            for path in arrays:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # other things are in there
        place.arrays.rmdir()
        place.root.rmdir()


@contextlib.contextmanager
def _shown(verbose: bool) -> Iterator[None]:
    """Lets the block print, or not."""
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the block where the same call goes on, as Python programs expect.

    Raises:
      KeyboardInterrupt, SystemExit: in place of `signals.Stopped`.
    """
    try:
        with signals.handled():
            yield
    except signals.Stopped as stopped:
        if stopped.number == signal.SIGINT:
            raise KeyboardInterrupt(str(stopped)) from stopped
        raise SystemExit(stopped.exit_code) from stopped
