"""Official archives that somebody brought, where no host of a data set answers.

They lie in DATA_DIR/downloads/manual, where TFDS looks for such files too, and are checked before
anything is made of them: size and SHA-256 where TFDS has them on record, else what is in them;
`store.check` then reads every image of what was made. Pickles are read by `ArrayUnpickler`, which
makes arrays, numbers and texts, and calls nothing.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from tfp_ood.data.specs import DatasetSpec

_BLOCK = 1 << 20
_MOST_BYTES = 1 << 31  # of a batch of images; the official ones have 0.4 GB
_NUM_CLASSES = 1_000


class ArchiveError(Exception):
    """Why no data set was made of somebody's archives; names the file."""


@dataclasses.dataclass(frozen=True)
class Archives:
    """The files that a data set can be made of."""

    files: tuple[str, ...]
    make: Callable[[DatasetSpec, str, str], None]
    """Makes the set of the files in a folder, in a data directory."""


def folder(root: str) -> str:
    """Where archives are brought to, in a data directory."""
    return os.path.join(root, "downloads", "manual")


def routes(spec: DatasetSpec, root: str) -> list[tuple[str, Callable[[DatasetSpec, str], None]]]:
    """Ways to make a set of what is in the folder: a description, and a function of the set and
    the data directory to make it in."""
    where = folder(root)
    return [
        (f"the files in {where}", functools.partial(_make, archives, where))
        for archives in BY_HAND.get(spec.name, ())
        if any(os.path.exists(os.path.join(where, name)) for name in archives.files)
    ]


def advice(spec: DatasetSpec, root: str) -> str:
    """Words for which files would do, and where; "" if none would."""
    options = [" and ".join(archives.files) for archives in BY_HAND.get(spec.name, ())]
    if not options:
        return ""
    return (
        f"\nOr put the official files {', or '.join(options)} into {folder(root)} and run the same "
        f"command, which checks and prepares them.{_NOTES.get(spec.name, '')}"
    )


def _make(archives: Archives, where: str, spec: DatasetSpec, work: str) -> None:
    import tensorflow_datasets as tfds

    known = tfds.builder(spec.tfds_name, data_dir=work).url_infos or {}
    _check(archives.files, where, {info.filename: info for info in known.values()})
    archives.make(spec, where, work)


def _check(files: tuple[str, ...], where: str, known: Mapping[str, Any]) -> None:
    """Refuses files that are missing, or are not what TFDS has on record.

    Raises:
      ArchiveError: names the first.
    """
    for name in files:
        if not os.path.isfile(os.path.join(where, name)):
            raise ArchiveError(f"{name} is missing; needed are {', '.join(files)}")
    for name in (name for name in files if name in known):
        path, official = os.path.join(where, name), known[name]
        size, wanted = os.path.getsize(path), int(official.size)
        if size != wanted:
            raise ArchiveError(
                f"{name} is not the official file, or not all of it: {size:,} bytes instead of "
                f"{wanted:,}"
            )
        if (digest := _sha256(path)) != official.checksum:
            raise ArchiveError(
                f"{name} is not the official file: its SHA-256 is {digest} instead of "
                f"{official.checksum}"
            )


def _sha256(path: str) -> str:
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def _by_tfds(spec: DatasetSpec, where: str, work: str) -> None:
    """TFDS's own preparation, which takes the files from there."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=where, try_download_gcs=False)
    tfds.builder(spec.tfds_name, data_dir=work).download_and_prepare(download_config=config)


def _svhn(spec: DatasetSpec, where: str, work: str) -> None:
    """Training and test images; TFDS would ask for the 1.3 GB of further ones too."""
    from tfp_ood.data import store

    arrays = {
        split: _mat(os.path.join(where, f"{split}_32x32.mat"), spec.native_shape)
        for split in (spec.train_split, spec.test_split)
    }
    store.store(spec, arrays, work)


def _mat(path: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a file of SVHN: X, uint8 [H, W, C, N], and y, 1 to 10, where 10 is 0."""
    from scipy import io

    with _readable(path):
        found = io.loadmat(path, variable_names=["X", "y"])
        images, labels = np.moveaxis(found["X"], -1, 0), found["y"].reshape(-1).astype(np.int64)
    _check_images(path, images, labels, shape)
    if labels.min() < 1 or labels.max() > 10:
        raise ArchiveError(f"{os.path.basename(path)} has labels other than 1 to 10")
    return np.ascontiguousarray(images), labels % 10


def _imagenet(spec: DatasetSpec, where: str, work: str) -> None:
    """The batches of Chrabaszcz et al. (2017), as pickles."""
    from tfp_ood.data import store

    side = spec.native_shape[0]
    paths = {
        spec.train_split: os.path.join(where, f"Imagenet{side}_train.zip"),
        spec.test_split: os.path.join(where, f"Imagenet{side}_val.zip"),
    }
    chunks = {split: _batches(path, spec.native_shape) for split, path in paths.items()}
    store.store_chunks(spec, chunks, work)


def _batches(path: str, shape: tuple[int, int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of each batch in a zip file, in the order of their numbers.

    A batch is a pickled dict: `data`, uint8 [N, C * H * W], channel by channel, and `labels`, 1 to
    1,000.
    """
    height, width, channels = shape
    name = os.path.basename(path)
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = [
            one for one in archive.infolist() if re.search(r"data(_batch_\d+)?$", one.filename)
        ]
        if not members:
            raise ArchiveError(f"{name} holds no batches of images")
        for member in sorted(members, key=lambda one: (len(one.filename), one.filename)):
            if member.file_size > _MOST_BYTES:
                raise ArchiveError(f"{name}: {member.filename} is larger than any official batch")
            with archive.open(member) as file:
                found = ArrayUnpickler(file).load()
            labels = np.asarray(found["labels"], np.int64) - 1
            images = np.asarray(found["data"]).reshape(-1, channels, height, width)
            images = np.ascontiguousarray(np.moveaxis(images, 1, -1))
            _check_images(path, images, labels, shape)
            if labels.min() < 0 or labels.max() >= _NUM_CLASSES:
                raise ArchiveError(f"{name}: {member.filename} has labels other than 1 to 1,000")
            yield images, labels


def _check_images(
    path: str, images: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]
) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) != len(labels):
        raise ArchiveError(
            f"{os.path.basename(path)} holds images of {images.dtype} {list(images.shape)} and "
            f"{len(labels):,} labels; valid are uint8 {['N', *shape]} and N labels"
        )
    if not len(images):
        raise ArchiveError(f"{os.path.basename(path)} holds no images")


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Makes what damaged files raise an `ArchiveError` that names the file."""
    try:
        yield
    except ArchiveError:
        raise
    # Whatever their readers please.
    except Exception as error:
        name = os.path.basename(path)
        raise ArchiveError(f"{name} is damaged, or of another kind ({error!r})") from error


def _latin1(text: str, encoding: str) -> bytes:
    """What `codecs.encode` is asked for in old pickles of arrays: bytes that were kept as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
    return text.encode("latin1")


_reconstruct = np.empty(0, np.uint8).__reduce__()[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
}
"""All that a pickle of arrays may name."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles that hold arrays of numbers in Python's containers, and refuses all others.

    A pickle is a program; this one can call nothing but what makes arrays.
    """

    def __init__(self, file: IO[bytes]):
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names.

        Raises:
          UnpicklingError: it is not allowed.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return _ALLOWED[module, name]


_CELEB_A = (
    *("img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt"),
    *("list_landmarks_align_celeba.txt", "identity_CelebA.txt"),
)
BY_HAND: dict[str, tuple[Archives, ...]] = {
    "svhn_cropped": (Archives(("train_32x32.mat", "test_32x32.mat"), _svhn),),
    "celeb_a": (Archives(_CELEB_A, _by_tfds),),
    **{
        f"downsampled_imagenet_{size}": (
            Archives((f"train_{size}.tar", f"valid_{size}.tar"), _by_tfds),
        )
        for size in ("32x32", "64x64")
    },
    "imagenet_resized_32x32": (
        Archives(("Imagenet32_train.zip", "Imagenet32_val.zip"), _imagenet),
        Archives(("Imagenet32_train_npz.zip", "Imagenet32_val_npz.zip"), _by_tfds),
    ),
}
"""Name of a set -> the archives that would do, each by itself."""

_NOTES = {
    "downsampled_imagenet_32x32": (
        " Imagenet32_train.zip and Imagenet32_val.zip are another reduction of the same pictures: "
        "of these the set imagenet_resized_32x32 is made, which a config can name instead."
    )
}
