"""The detector as an outlier estimator of scikit-learn."""

import dataclasses
import math
import pathlib
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tfp_ood.api import fit as fit_lib
from tfp_ood.api.images import ImageError
from tfp_ood.api.run import Run
from tfp_ood.config import Config

_WHITE = 255
_FEWEST = 3  # one each for training, validation and test
_MOST_SEED = 2**31 - 1


class OutlierDetector(OutlierMixin, BaseEstimator):
    """Tells images that are unlike those it was fitted to: +1 for usual ones, -1 for others.

    `fit` trains a likelihood model as `tfp_ood.fit` does and fits the guard of its pages to images
    that it holds out. It has no `contamination`: no share of the training images is taken for
    outliers, but of new images like them at most `false_alarm_rate`, on average over trainings.

    Args:
      image_shape: (H, W, C) of the images, which flat rows are brought to. By default images
        [N, H, W, C] are taken as they are, and a flat row of up to 64 values as an image that is
        one pixel high.
      value_range: the values of black and white; those between are rounded to 256 levels, and
        others refused. None for the lowest and highest that `fit` sees, beyond which others are
        cut off.
      config: of the model, as in `tfp_ood.fit`; `tfp_ood.default_config` if it is not given.
      false_alarm_rate: as `config.export.false_alarm_rate`; of fewer than 148 images it must be
        higher than 0.05.
      workdir: of the run, where a stopped `fit` goes on; if it is not given, a temporary folder
        which goes with the estimator. One that is pickled, or copied to other processes, needs it.
      random_state: an integer, the seed of the training; or as anywhere in scikit-learn.
      verbose: whether `fit` shows its progress.

    Attributes:
      run_: the `tfp_ood.Run`.
      offset_: the least `score_samples` that is not flagged.
      n_features_in_: values of an image.
      value_range_: see `value_range`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] | None = None,
        *,
        value_range: tuple[float, float] | None = (0, 255),
        config: Config | Mapping[str, Any] | None = None,
        false_alarm_rate: float = 0.05,
        workdir: str | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.image_shape = image_shape
        self.value_range = value_range
        self.config = config
        self.false_alarm_rate = false_alarm_rate
        self.workdir = workdir
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "OutlierDetector":
        """Trains on images, and holds some out for the threshold.

        Args:
          X: images [N, H, W, C], [N, H, W], or flat rows [N, H * W * C].
          y: not used.

        Raises:
          ImageError, ValueError: X are no images.
          UserError: as `tfp_ood.fit`.
        """
        self._check_shape(X)
        values = self._values(X, reset=True)
        low, high = self.value_range or (float(values.min()), float(values.max()))
        self.value_range_ = (low, high)
        self._check_rows()
        images = self._images(values, fitting=True)
        given = (
            fit_lib.default_config(images) if self.config is None else fit_lib.typed(self.config)
        )
        export = dataclasses.replace(given.export, false_alarm_rate=float(self.false_alarm_rate))
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(_MOST_SEED)
        # Sets that a config names are for a report, and there is none.
        data = dataclasses.replace(given.data, out_of_distribution=())
        made = dataclasses.replace(given, data=data, export=export, seed=int(seed))
        self.run_ = self._train(images, made)
        self.offset_ = -self.run_.detector.threshold
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """How usual images are, float64 [N]: higher is more so; the guard's score with its sign
        turned round.

        Args:
          X: as `fit`.
        """
        check_is_fitted(self)
        return -self.run_.detector.score(self._images(self._values(X, reset=False)))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`, float64 [N]: negative for outliers.

        Args:
          X: as `fit`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """+1 for usual images and -1 for outliers, int [N].

        Args:
          X: as `fit`.
        """
        # What is no number is suspicious, as to the guard.
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn is to know: rows may be images of three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _check_shape(self, X: Any) -> None:
        """Refuses an `image_shape` that is none, or not that of images.

        Raises:
          ImageError: says what would be right.
        """
        if self.image_shape is None:
            return
        sizes = tuple(self.image_shape)
        if len(sizes) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
            raise ImageError(
                f"image_shape: got {self.image_shape!r}; valid is (height, width, channels), such "
                "as (32, 32, 3)."
            )
        own = _own_shape(X)
        if own and own != sizes:
            raise ImageError(
                f"X: got images {list(own)}, but image_shape is {list(sizes)}; "
                "leave it out for images that have a shape."
            )

    def _check_rows(self) -> None:
        """Refuses long rows of no shape, which would be images one pixel high.

        Raises:
          ImageError: says what would be right.
        """
        size = self.n_features_in_
        if not (self.image_shape or self._own_shape) and size > fit_lib.LARGEST:
            sides = {channels: math.isqrt(size // channels) for channels in (1, 3)}
            square = [(n, n, c) for c, n in sides.items() if n * n * c == size]
            such = f", such as {square[0]}" if square else ""
            raise ImageError(
                f"image_shape: got None for rows of {size:,} values; valid is the (height, width, "
                f"channels) of their images{such}."
            )

    def _values(self, X: Any, reset: bool) -> np.ndarray:
        """Images as rows [N, values], checked as scikit-learn does.

        Args:
          X: as `fit`.
          reset: whether they say how many values an image has.
        """
        own = _own_shape(X)
        if reset:
            self._own_shape = own
        elif own and own != self._shape():
            raise ImageError(f"X: got images {list(own)}; valid is {list(self._shape())}.")
        if own:
            X = np.asarray(X).reshape(len(X), -1)
        return validate_data(
            self, X, reset=reset, dtype="numeric", ensure_min_samples=_FEWEST if reset else 1
        )

    def _shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        return tuple(self.image_shape or self._own_shape or (1, self.n_features_in_, 1))

    def _images(self, values: np.ndarray, fitting: bool = False) -> np.ndarray:
        """Rows as uint8 images [N, H, W, C]."""
        shape, (low, high) = self._shape(), self.value_range_
        if int(np.prod(shape)) != self.n_features_in_:
            raise ImageError(
                f"image_shape: got {list(shape)}, of {int(np.prod(shape))} values; the images have "
                f"{self.n_features_in_}."
            )
        if self.value_range is not None and (values.min() < low or values.max() > high):
            raise ImageError(
                f"X: got values from {values.min():g} to {values.max():g}; valid is from {low:g} "
                f"to {high:g} (value_range)."
            )
        if (low, high) == (0, _WHITE) and _are_shares(values, fitting):
            raise ImageError(
                f"X: got floats from {values.min():g} to {values.max():g}, which are black with "
                f"value_range=(0, {_WHITE}); valid is value_range=(0, 1), from `fit` on."
            )
        if values.dtype == np.uint8 and (low, high) == (0, _WHITE):
            return values.reshape(-1, *shape)
        levels = (np.asarray(values, np.float64) - low) / ((high - low) or 1.0) * _WHITE
        return np.rint(np.clip(levels, 0, _WHITE)).astype(np.uint8).reshape(-1, *shape)

    def _train(self, images: np.ndarray, config: Config) -> Run:
        """A run in `workdir`, or in a folder that goes with it."""
        folder = self.workdir
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="tfp_ood-")
            folder = str(pathlib.Path(made.name) / "run")
        run = fit_lib.fit(images, workdir=folder, config=config, verbose=self.verbose)
        if self.workdir is None:
            weakref.finalize(run, made.cleanup)
        return run


def _are_shares(values: np.ndarray, whole_too: bool) -> bool:
    """Whether floats seem to be shares of white; whole numbers, 0 and 1, only if that is asked."""
    is_dark = values.dtype.kind == "f" and 0 < values.max() <= 1
    return bool(is_dark and (whole_too or np.any(values % 1)))


def _own_shape(X: Any) -> tuple[int, ...] | None:
    """(H, W, C) of images [N, H, W, C] or [N, H, W]; None of what has another form."""
    shape = getattr(X, "shape", ())
    return (*shape[1:], 1)[:3] if len(shape) in (3, 4) else None
