"""A finished run: its config, model, score tables, guard and figures."""

import contextlib
import dataclasses
import functools
import io
import numbers
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tfp_ood import atomic, devices, paths, stages, units
from tfp_ood.api import images as images_lib
from tfp_ood.api import recorded
from tfp_ood.config import Config
from tfp_ood.data import specs
from tfp_ood.errors import EvaluationError, TrainingError, UserError
from tfp_ood.evaluation import tables
from tfp_ood.evaluation.tables import ScoreTable
from tfp_ood.reporting import summary as summary_lib
from tfp_ood.reporting.judged import read_tables
from tfp_ood.reporting.summary import Summary
from tfp_ood.workdir import WorkDir, open_workdir

if TYPE_CHECKING:  # the first starts TensorFlow
    from tfp_ood.api.detector import ImageDetector
    from tfp_ood.models import LikelihoodModel


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model, and what evaluation and report left of it in its work directory.

    `load_run` and `fit` make it. What takes time is read, or computed, when it is first asked for.
    """

    config: Config
    """What the run was trained with; what it is judged against, as far as the work directory tells.
    """
    workdir: pathlib.Path
    """Of the run, absolute."""
    weights: str
    """A short hash of the weights. Where others were trained in their place, this run is refused
    what is not theirs, and is to be loaded again."""

    @functools.cached_property
    def model(self) -> "LikelihoodModel":
        """The model with its trained weights. The first use starts TensorFlow.

        Raises:
          TrainingError: its files are damaged, or others are in their place.
        """
        places = self._current()
        self._start()
        from tfp_ood.training import fit

        return fit.load_trained(self.config, places)

    def _start(self) -> None:
        """Starts TensorFlow as models need it; the first call of a process decides."""
        devices.share_gpus(self.config.train.memory_growth)
        devices.start_tensorflow()

    def log_prob(self, images: Any) -> np.ndarray:
        """The log-likelihood of images in nats each, float64 [N], as score tables have it.

        A lower bound where the model knows no better (`model.log_prob_kind`).

        Args:
          images: uint8 [N, H, W, C] in the shape of the model, or [N, H, W] if they are gray.

        Raises:
          ImageError: they are of another type or shape.
        """
        checked = images_lib.as_images(images, self.config.data.image_shape)
        draws, size = self.config.evaluate.num_draws, self.config.scoring_batch_size

        def score(part: np.ndarray) -> dict[str, Any]:
            return {"log_prob": self.model.log_prob(part, draws)}

        return images_lib.in_batches(score, checked, size)["log_prob"]

    def bits_per_dim(self, images: Any) -> np.ndarray:
        """The same in bits per dimension, float64 [N]: lower is likelier.

        Args:
          images: see `log_prob`.

        Raises:
          ImageError: they are of another type or shape.
        """
        return self.to_bits(self.log_prob(images))

    def to_bits(self, log_prob: np.ndarray) -> np.ndarray:
        """Bits per dimension of images of the model's shape with this log-likelihood in nats."""
        return units.bits_per_dim(log_prob, int(np.prod(self.config.data.image_shape)))

    def sample(self, num_images: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Images drawn from the model, uint8 [num_images, H, W, C]; the same for the same seed.

        Args:
          num_images: how many, at least 1.
          seed: of the draw, from 0 to 2147483647.
          temperature: scale of the latent's standard deviation, at least 0; below 1 for likelier
            images.

        Raises:
          UserError: a number is out of its range.
        """
        valid = {
            "num_images": (
                num_images,
                "an integer of at least 1",
                lambda n: 1 <= n < np.inf and n == int(n),
            ),
            "seed": (
                seed,
                "an integer from 0 to 2147483647",
                lambda n: 0 <= n < 2**31 and n == int(n),
            ),
            "temperature": (
                temperature,
                "a finite number of at least 0",
                lambda number: 0 <= number < np.inf,
            ),
        }
        for name, (given, what, is_valid) in valid.items():
            if not isinstance(given, numbers.Real) or not is_valid(given):
                raise UserError(f"{name}: got {given!r}; valid is {what}.")
        return self.model.sample(int(num_images), int(seed), float(temperature)).numpy()

    def read_images(
        self, files: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]
    ) -> np.ndarray:
        """Picture files in the shape of the model, uint8 [N, H, W, C], for the methods above.

        The first use starts TensorFlow, which brings them to that shape.

        Args:
          files: a path, or paths, of PNG, JPEG, ... of any size and colour that the config can
            bring to the model's (`config.data.size_change`, `config.data.channel_change`).

        Raises:
          DataError: there are none, one cannot be read, or needs a change that is not allowed.
        """
        self._start()
        return images_lib.read_pictures(files, self.config.data)

    @property
    def sets(self) -> list[tuple[str, str]]:
        """(name, split) of every set that was scored, the run's own test images first."""
        found = recorded.scored(open_workdir(self.workdir))
        own = (self.config.data.in_distribution, "test")
        return sorted(found, key=lambda one: (one != own, one[0] != own[0]))

    def scores(self, name: str | None = None, split: str | None = None) -> pa.Table:
        """The score table of a set: a row for every image (`evaluation.tables` has the columns).

        `.to_pandas()` makes it a data frame where pandas is installed.

        Args:
          name: of the set as in the config, such as "mnist", or what an array was called; the
            run's own if it is not given.
          split: "test", "all", or "validation" for the run's own held-out images; by default what
            was judged.

        Raises:
          EvaluationError: there are no scores of it, or they are of other weights.
        """
        places, found = self._scored(name, split)
        read_tables(places, [found])  # refuses those of other weights
        return tables.read_table(places.score_table(*found), "score table", lambda table: table)

    def verdicts(self, name: str | None = None, split: str | None = None) -> pa.Table:
        """What the guard says of a set that was scored, as `run.detector.predict` of its images.

        Args:
          name: see `scores`.
          split: see `scores`.

        Raises:
          EvaluationError: see `scores`; or it was asked otherwise than the held-out images.
          ExportError: too few images were held out for the false-alarm rate.
        """
        places, found = self._scored(name, split)
        (table,) = read_tables(places, [found])
        summary_lib.check_tables([table], [self.detector.held_out])
        return self.detector.of_table(table)

    def _scored(self, name: str | None, split: str | None) -> tuple[WorkDir, tuple[str, str]]:
        """The work directory, and of a set that was scored the (name, split)."""
        places = self._current()
        own = self.config.data.in_distribution
        known, splits = self.sets, (split,) if split else ("test", "all")
        if name and name not in {one for one, _ in known}:
            labelled = [
                one
                for one in (own, *self.config.data.out_of_distribution)
                if specs.kept_label(one) == name
            ]
            if len(labelled) > 1:
                raise EvaluationError(f"{name}: two arrays have this name: {', '.join(labelled)}.")
            name = labelled[0] if labelled else name
        name = paths.absolute_name(name or own)
        found = next(((name, one) for one in splits if (name, one) in known), None)
        if found is None:
            names = dict.fromkeys(one if split is None else f"{one}/{of}" for one, of in known)
            wanted = name if split is None else f"{name}/{split}"
            raise EvaluationError(
                f"There are no scores of {wanted} in {places.scores}, but of {', '.join(names)}; "
                "--mode=evaluate makes those of the sets that config.data names."
                if known
                else f"There are no scores in {places.scores}; --mode=evaluate makes them."
            )
        return places, found

    @functools.cached_property
    def detector(self) -> "ImageDetector":
        """The guard of the run's pages, fitted to the images that were held out of its training.

        Raises:
          EvaluationError: they are not scored, or with other weights.
          ExportError: they are too few for the false-alarm rate.
        """
        from tfp_ood.api.detector import ImageDetector

        return ImageDetector(self)

    @property
    def summary(self) -> Summary:
        """The figures of the run's report.

        Raises:
          EvaluationError: there is no report yet, or it is of other weights.
        """
        places = self._current()
        try:
            found = summary_lib.read(places.summary)
        except FileNotFoundError as error:
            raise EvaluationError(
                f"{self.workdir} has no report yet; --mode=report makes it, which needs a set in "
                "config.data.out_of_distribution."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"The report's {places.summary} cannot be read ({error}); --mode=report makes it "
                "again."
            ) from error
        if found.model.get("weights") != self.weights:
            raise EvaluationError(
                f"The report in {places.report} is of other weights than those in {places.model}: "
                "--mode=evaluate and --mode=report make it again."
            )
        return found

    def export(self, data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
        """Writes the model with its guard for programs that have TensorFlow alone.

        Args:
          data_dir: of TensorFlow Datasets, as the run was made with.

        Returns:
          The folder, as --mode=export leaves it: `model`, `model_card.md` and `client.py`.

        Raises:
          UserError: as the command line: the run's images or scores are not there any more, or too
            few were held out for the false-alarm rate.
        """
        places, root = self._current(), None if data_dir is None else os.fspath(data_dir)
        with atomic.full_disk_named(), contextlib.redirect_stdout(io.StringIO()):  # of the folder
            stages.run(stages.LIKELIHOOD, self.config, places, root, "export")
        return places.export

    def held_out(self) -> ScoreTable:
        """The scores of the images that were held out of the training.

        Raises:
          EvaluationError: there are none, or they are of other weights.
        """
        (table,) = read_tables(self._current(), [(self.config.data.in_distribution, "validation")])
        return table

    def _current(self) -> WorkDir:
        """The work directory, if the weights in it are this run's."""
        places = open_workdir(self.workdir)
        if not places.root.exists():
            raise TrainingError(
                f"{places.root} is gone. If it was of a tfp_ood.OutlierDetector without a workdir: "
                "one that is kept, or used in other processes, needs one."
            )
        if places.weights != self.weights:
            raise TrainingError(
                f"The weights in {places.model} have been replaced or removed since this run was "
                "loaded; load it again with tfp_ood.load_run."
            )
        return places

    def __getstate__(self) -> dict[str, Any]:
        """Without what was computed: another process loads the model from the work directory."""
        names = {field.name for field in dataclasses.fields(self)}
        return {name: value for name, value in vars(self).items() if name in names}


def load_run(workdir: str | os.PathLike[str]) -> Run:
    """Opens the run in a work directory, whose training has ended. Starts no TensorFlow.

    Args:
      workdir: as `--workdir` of the command line.

    Raises:
      UserError: the path is none that a run can have, or its record cannot be read.
      TrainingError: nothing was trained there to the end, or no likelihood model.
    """
    paths.check_flag("workdir", os.fspath(workdir))
    places = open_workdir(workdir)
    facts, weights = places.trained_facts(), places.weights
    if facts is None or weights is None:
        raise TrainingError(f"{places.root} holds no trained model; run --mode=train first.")
    if "model" not in facts:
        raise TrainingError(
            f"{places.root} is no run of a likelihood model; valid is one whose --config has a "
            "config.model, such as configs/quickstart.py."
        )
    return Run(recorded.config(places, facts), places.root, weights)
