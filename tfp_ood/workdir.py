"""The work directory of a run: its layout, and whose it is."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any, Protocol

from tfp_ood import atomic, options, paths
from tfp_ood.errors import UserError

_LOCK = ".lock"
_KEPT = {"arrays", "backup", "manifests", "model"}  # by trainings that start from nothing


class TrainedConfig(Protocol):
    """Any kind of config."""

    def training_facts(self) -> dict[str, Any]:
        """All that a trained model depends on, for JSON."""


@dataclasses.dataclass(frozen=True)
class _Place:
    """A path in a work directory, or what earlier versions called it, if that alone is there."""

    name: str
    older: str | None = None

    def __get__(self, workdir: "WorkDir", owner: type) -> pathlib.Path:
        path = workdir.root / self.name
        if self.older and not path.exists() and (workdir.root / self.older).exists():
            return workdir.root / self.older
        return path


@dataclasses.dataclass(frozen=True)
class WorkDir:
    """Where the stages of a run leave what the next ones read."""

    root: pathlib.Path

    config = _Place("config.json")
    """The config that the model is trained with, JSON."""
    arrays = _Place("arrays")
    """Folder of the arrays in memory that `tfp_ood.fit` was given, which their content names."""
    images = _Place("images.txt")
    """The version of the files that the model is trained on."""
    manifests = _Place("manifests")
    """Folder of what is known of image files (`data.manifest`)."""
    backup = _Place("backup")
    """State of a training that has not ended."""
    model = _Place("model")
    """The trained weights and `training.json`."""
    tensorboard = _Place("tensorboard")
    """For `tensorboard --logdir`."""
    trajectory = _Place("trajectory", older="progress")
    """Folder of likelihoods at every checkpoint of the training (`trajectory`)."""
    scores = _Place("scores")
    """Folder of the score tables and of what lies beside them."""
    second_order = _Place("scores/second_order.npz", older="scores/curvature.npz")
    """What `evaluation.second_order` needs of a constant-volume Glow."""
    samples = _Place("samples")
    """Folder of what `evaluation.samples` draws: the files below, arrays of uint8 images."""
    sample_images = _Place("samples/samples.npy")
    """Images drawn from the model, [N, H, W, C]."""
    temperatures = _Place("samples/temperatures.npy")
    """Images of the same latents at several temperatures, [T, N, H, W, C]."""
    paths = _Place("samples/paths.npy")
    """Between pairs of images, of models with latents: [sets, paths, steps, H, W, C]."""
    reconstructions = _Place("samples/reconstructions.npy")
    """Reconstructions, of models that make some: [sets, 2, N, H, W, C], originals first."""
    sample_facts = _Place("samples/samples.json")
    """What the samples were drawn with, JSON."""
    report = _Place("report")
    """Folder of the run's page and its figures (`reporting.run`), or of several runs' page."""
    summary = _Place("report/summary.json")
    """The figures of the report (`reporting.summary`), JSON."""
    asked = _Place("asked.json")
    """What the last evaluation, report and export were asked (`evaluation.asked`), JSON."""
    export = _Place("export")
    """Folder of what is shipped: `model`, `model_card.md`, `client.py` (`export.bundle`)."""
    audit = _Place("audit")
    """Folder of the audit's page (`reporting.audit`)."""
    monitor = _Place("monitor")
    """Folder with a folder for each set of new images that was monitored (`reporting.monitor`)."""

    @property
    def weights(self) -> str | None:
        """`weights_id` of the model that was trained here."""
        return weights_id(self.model)

    @classmethod
    def folders(cls) -> frozenset[str]:
        """The names of all folders in a work directory that stages write to."""
        places = [place for place in vars(cls).values() if isinstance(place, _Place)]
        names = [name for place in places for name in (place.name, place.older) if name]
        return frozenset(name.split("/")[0] for name in names if "." not in name.split("/")[0])

    def is_same(self, other: "WorkDir") -> bool:
        """Whether this is that directory, however the two are spelled."""
        return paths.place(self.root) == paths.place(other.root)

    def score_table(self, name: str, split: str) -> pathlib.Path:
        """The score table of a set, NAME.SPLIT.parquet, different for every (name, split)."""
        return self.scores / f"{slug(name)}.{slug(split)}.parquet"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out, and removes what killed ones were writing.

        The file `.lock` says who is in. It is given back by the kernel when the process is killed.

        Raises:
          UserError: another run is in, or the directory cannot be written.
        """
        is_new = not self.root.exists()
        with contextlib.ExitStack() as stack:
            try:
                with self._writable():
                    self.root.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(atomic.held(self.root / _LOCK, atomic.this_process()))
                    for folder in (self.root, self.monitor):
                        atomic.remove_leftovers(folder)
            except atomic.HeldError as error:
                raise UserError(
                    f"{self.root} is in use by another run{atomic.described(str(error))}. "
                    "Wait until it has ended, or use another --workdir."
                ) from None
            try:
                yield
            finally:
                stack.close()
                if is_new:  # what was refused leaves no trace
                    with contextlib.suppress(OSError):
                        self.root.rmdir()

    def check(self, config: TrainedConfig) -> None:
        """Refuses a config that trains another model than the one that lives here.

        Raises:
          UserError: names what differs; or the directory's own record cannot be read.
        """
        different = self.differences(config)
        if different:
            raise UserError(
                f"{self.root} holds a model trained with another config: {'; '.join(different)}. "
                "Use another --workdir, the config it was made with, or --trained_config, which "
                "takes these values as they were."
            )

    def differences(self, config: TrainedConfig, now: str = "now") -> list[str]:
        """How a config differs from the one trained here: "config.seed was 0, now 3".

        Args:
          config: the other one.
          now: the word before what it has.

        Raises:
          UserError: the directory's own record cannot be read.
        """
        theirs = self.trained_facts()
        if theirs is None:
            return []
        ours = json.loads(json.dumps(config.training_facts()))
        theirs = options.still_facts(config, theirs)
        both = (options.merged(options.unsaid(config), facts) for facts in (theirs, ours))
        return list(options.differences(*both, now))

    def trained_facts(self) -> dict[str, Any] | None:
        """`training_facts` of the config that is trained here; None before that.

        A path that an earlier version left relative is taken from where this program is.

        Raises:
          UserError: the record cannot be read.
        """
        if not self.config.exists():
            return None
        try:
            facts = json.loads(self.config.read_text())
            if not isinstance(facts, dict):
                raise ValueError("it is not a JSON object")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.config} cannot be read ({error}); use another --workdir."
            ) from None
        data = facts.get("data")
        if isinstance(data, dict) and "in_distribution" in data:
            data["in_distribution"] = paths.absolute_name(data["in_distribution"])
        return facts

    def as_trained(self, config: Any) -> Any:
        """A config with what the model here depends on as it was trained.

        Raises:
          UserError: there is no such model, or it is none of this kind of config.
        """
        facts = self.trained_facts()
        if facts is None:
            raise UserError(f"--trained_config: nothing was trained in {self.root} yet.")
        try:
            return config.as_trained(facts)
        except options.ConfigError as error:
            raise UserError(
                f"--trained_config: {self.config} does not fit this --config ({error})"
            ) from error

    def check_images(self, version: str) -> None:
        """Refuses images other than those that the model here is, or was being, trained on.

        A set of a person's own files is divided anew when files come or go: images that the model
        was trained on would be taken for test images.

        Args:
          version: of the in-distribution set's files, "" where they cannot change.

        Raises:
          UserError: they have changed.
        """
        if not self.images.exists() or self.images.read_text() == version + "\n":
            return
        raise UserError(
            f"The images of config.data.in_distribution have changed since the training in "
            f"{self.root} began, or an earlier version held out others of them. Use another "
            "--workdir to train on them, or put the old ones back."
        )

    def forget_training(self) -> None:
        """Removes all that came of earlier trainings, for one that starts from nothing.

        Raises:
          UserError: something cannot be removed.
        """
        for path in self._results():
            try:
                path.unlink() if path.is_symlink() else shutil.rmtree(path)
            except OSError as error:
                raise UserError(
                    f"--workdir: {path}, of an earlier training, cannot be removed ({error}). "
                    "Remove it, or use another --workdir."
                ) from error

    def _results(self) -> list[pathlib.Path]:
        """The folders of what comes of a training, where there is anything in them."""
        folders = [self.root / name for name in sorted(self.folders() - _KEPT)]
        return [path for path in folders if path.is_dir() and any(path.iterdir())]

    def claim(self, config: TrainedConfig, version: str = "") -> None:
        """Writes down the config that is trained here, and the version of the images.

        Raises:
          UserError: as `check` and `check_images`, or the directory cannot be written, or holds
            folders of a run's names and is none: a training would remove them.
        """
        self.check(config)
        self.check_images(version)
        with self._writable():
            if not self.config.exists() and (others := self._results()):
                raise UserError(
                    f"{self.root} is no work directory of a training (it lacks {self.config.name}) "
                    f"but holds {', '.join(path.name for path in others)}, which a training would "
                    "remove. Use another --workdir, or remove them."
                )
            with atomic.replacing(self.images) as path:
                path.write_text(version + "\n")
            atomic.write_json(self.config, config.training_facts())

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        """Names a directory that cannot be written; a full disk is another thing."""
        try:
            yield
        except OSError as error:
            if atomic.means_full(error):
                raise
            raise UserError(f"--workdir: {self.root} cannot be written ({error}).") from error


def open_workdir(path: str | os.PathLike[str]) -> WorkDir:
    """The work directory at a path, which need not exist yet."""
    return WorkDir(pathlib.Path(os.path.expanduser(path)).absolute())


def weights_id(folder: pathlib.Path) -> str | None:
    """A short hash of the trained weights in a folder, the same for the same weights only.

    What is computed with them carries it, so that it is not taken for a result of others that were
    trained later in their place.

    Returns:
      16 hexadecimal digits; None where there are no weights.
    """
    paths = sorted(path for path in folder.rglob("*.data-*") if path.is_file())
    if not paths:
        return None
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                whole.update(part)
    return whole.hexdigest()[:16]


def slug(text: str) -> str:
    """A file's name for the name of a set, a different one for every set.

    A name that is not a plain word (a path, say) is shortened to its last part and told from
    others by a hash of the whole: "folder:/x/photos" -> "photos-0c61e2a4d1".
    """
    # A plain word has no "-" and no ".", so it never meets a hashed one, nor name a split. Upper
    # case counts as not plain: some file systems do not tell "MNIST" from "mnist".
    if re.fullmatch(r"[a-z0-9_]{1,60}", text):
        return text
    last = re.split(r"[/:]", text.rstrip("/"))[-1]
    words = re.sub(r"[^a-z0-9_]+", "_", last.lower()).strip("_")[:40]
    return f"{words}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
