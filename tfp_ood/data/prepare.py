"""Making TFDS data sets present on this machine.

The rest of the program only knows ordinary TFDS data sets in a data directory. A set that is not
there comes from archives that somebody brought (`by_hand.py`), from TFDS's own download where its
host answers, or from a package manager (`mirrors.py`). Whichever it is, it is made in a temporary
folder inside the data directory, checked image by image (`store.py`), and moved to its place in
one step.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence

from tqdm import tqdm

from tfp_ood import atomic, devices, paths
from tfp_ood.data import by_hand, mirrors
from tfp_ood.data.specs import DatasetSpec, parse
from tfp_ood.errors import DataError, first_line

_WORK_PREFIX = ".preparing-"
_FORMATS = ("tfrecord",)
_CONNECT_SECONDS = 3.0
_PROBE_SECONDS = 4.0


def prepare(names: Sequence[str], data_dir: str | None) -> None:
    """Makes every TFDS data set among `names` present in `data_dir`.

    Sets that are there cost nothing. A killed run leaves a temporary folder at most, which the
    next run removes; a second process waits until the first has finished.

    Args:
      names: as in a config; folders, arrays and computed sets need no preparation.
      data_dir: where TFDS keeps its data sets; None for its own default.

    Raises:
      ConfigError: a name does not stand for a set.
      DataError: a set that is there is another one; the directory cannot be written; or there is
        no way to get a set: the message says all that was tried and how to bring the files by hand.
    """
    wanted = missing(names, data_dir)
    for spec in _specs(names):
        if spec not in wanted:
            check_counts(spec, data_dir)
    if not wanted:
        return
    root = data_root(data_dir)
    with _locked(root):
        _remove_stale(root)
        for spec in wanted:
            # Another process may have made it while this one waited.
            if not is_prepared(spec, root):
                _prepare_one(spec, root)


def missing(names: Sequence[str], data_dir: str | None) -> list[DatasetSpec]:
    """The TFDS data sets among `names` that are not in `data_dir`; arguments as `prepare`.

    Raises:
      ConfigError: a name does not stand for a set.
      DataError: as `data_root` and `check_format`.
    """
    wanted = _specs(names)
    absent = [spec for spec in wanted if not is_prepared(spec, data_dir)]
    for spec in wanted:
        if spec not in absent:
            check_format(spec, data_dir)
    return absent


def _specs(names: Sequence[str]) -> list[DatasetSpec]:
    """The TFDS data sets among names of sets."""
    sources = [parse(name, "data") for name in dict.fromkeys(names)]
    return [source for source in sources if isinstance(source, DatasetSpec)]


def data_root(data_dir: str | None) -> str:
    """The data directory as an absolute path; TFDS's own default for None.

    Raises:
      DataError: it is not one of this machine, or its name is not in UTF-8.
    """
    if data_dir is None:
        from tensorflow_datasets.core.constants import get_default_data_dir

        data_dir = os.fspath(get_default_data_dir())
    if valid := paths.not_valid(data_dir):
        raise DataError(f"The data directory of TFDS is {data_dir!r}; valid is {valid}.")
    return os.path.abspath(os.path.expanduser(data_dir))


def set_folder(spec: DatasetSpec, data_dir: str | None) -> str:
    """Where the files of a set are, or would be, in `data_dir`: an absolute path."""
    return os.path.join(data_root(data_dir), spec.relative_dir)


def is_prepared(spec: DatasetSpec, data_dir: str | None) -> bool:
    """Whether TFDS can read the set in `data_dir`; looks at file names only."""
    path = set_folder(spec, data_dir)
    needed = ("dataset_info.json", "features.json")
    return all(os.path.isfile(os.path.join(path, name)) for name in needed)


def check_format(spec: DatasetSpec, data_dir: str | None) -> None:
    """Refuses a set that is there in files which TFDS makes no `tf.data` pipeline of.

    Raises:
      DataError: says what to do. What cannot be read at all is for TFDS to name.
    """
    folder = set_folder(spec, data_dir)
    try:
        facts = json.loads(pathlib.Path(folder, "dataset_info.json").read_bytes())
        found = facts.get("fileFormat", _FORMATS[0])
    except (OSError, ValueError, AttributeError):
        return
    if found not in _FORMATS:
        raise DataError(
            f"{spec.name}: the files in {folder} are of TFDS's format {found}; valid is "
            f"{' or '.join(_FORMATS)}: use another --data_dir, or move them away, and run "
            "--mode=prepare, which makes the set."
        )


def check_counts(spec: DatasetSpec, data_dir: str | None) -> None:
    """Refuses what lies in the place of a set without being it: by its numbers of images.

    Only what is made here is checked image by image (`store.check`): reading all images of a set
    at every start would take too long.

    Raises:
      DataError: says which numbers differ. Metadata that cannot be read are named by whoever
        reads the set.
    """
    where = set_folder(spec, data_dir)
    wanted = {spec.train_split: spec.num_train, spec.test_split: spec.num_test}
    try:
        found = _counts(os.path.join(where, "dataset_info.json"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    different = [
        f"{found.get(split, 0):,} images in split {split} instead of {count:,}"
        for split, count in wanted.items()
        if found.get(split, 0) != count
    ]
    if different:
        raise DataError(
            f"{spec.name}: what lies in {where} is another data set, with "
            f"{' and '.join(different)}; move it away and run --mode=prepare, or use another "
            "--data_dir."
        )


def _counts(path: str) -> dict[str, int]:
    """How many images each split of a TFDS set has, by its `dataset_info.json`."""
    with open(path, encoding="utf-8") as file:
        splits = json.load(file)["splits"]
    return {split["name"]: sum(map(int, split["shardLengths"])) for split in splits}


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    """Holds the data directory, which is made if need be, for this process alone."""
    try:
        os.makedirs(root, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):  # the only test that also holds for root users
            pass
    except OSError as error:
        if atomic.means_full(error):
            raise
        raise DataError(f"The data directory {root} cannot be written ({error}).") from error
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that prepares data in {root}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # gives the lock back, as does the end of the process


def _remove_stale(root: str) -> None:
    """Removes what killed runs left; only under the lock, so that no live run loses its work.

    Another user's may stay: nothing takes it for a set.
    """
    for name in os.listdir(root):
        if name.startswith(_WORK_PREFIX):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def _prepare_one(spec: DatasetSpec, root: str) -> None:
    final = set_folder(spec, root)
    if os.path.exists(final):
        raise DataError(
            f"{spec.name}: {final} exists but is not a complete TFDS data set; move it away."
        )
    # Storing runs TensorFlow's first operations; after them it takes no more settings, and the
    # training that may follow in this process would be slower. Sets that are there need none.
    devices.start_tensorflow()
    failures = []
    for description, route in _routes(spec, root):
        work = tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=paths.for_tensorflow(root))
        try:
            _say(f"{spec.name}: {description}")
            route(spec, work)
            _check(spec, work)
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.rename(os.path.join(work, spec.relative_dir), final)
            return
        # A download can fail in any way its libraries please; each one becomes a line of the
        # message, and the next route is tried.
        except Exception as error:
            if atomic.means_full(error):  # as it is for every route
                raise
            failures.append(f"- {description}: {first_line(error)}")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    tried = "\n".join(failures)
    raise DataError(
        f"{spec.name}: could not be prepared. Tried:\n{tried}\n"
        "By hand: on a machine with access, run\n"
        f"  python -c \"import tensorflow_datasets as tfds; tfds.load('{spec.tfds_name}')\"\n"
        f"and copy ~/tensorflow_datasets/{spec.relative_dir} from there to {final}"
        f"{by_hand.advice(spec, root)}"
    )


def _routes(spec: DatasetSpec, root: str) -> list[tuple[str, Callable[[DatasetSpec, str], None]]]:
    routes = [*by_hand.routes(spec, root), ("TFDS's own download", _download)]
    if spec.name in mirrors.MIRRORS:
        routes.append((mirrors.MIRRORS[spec.name].description, _fetch_and_store))
    return routes


def _download(spec: DatasetSpec, work: str) -> None:
    """Lets TFDS download, where all hosts of the set answer: it would try for minutes."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(spec.tfds_name, data_dir=work)
    silent = unreachable(builder.url_infos)
    if silent:
        raise ConnectionError("; ".join(f"{host} {reason}" for host, reason in silent.items()))
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)


def _fetch_and_store(spec: DatasetSpec, work: str) -> None:
    from tfp_ood.data import store

    packages = os.path.join(work, "packages")
    os.mkdir(packages)
    arrays = mirrors.MIRRORS[spec.name].fetch(packages)
    _say(f"{spec.name}: storing {sum(len(labels) for _, labels in arrays.values())} images")
    store.store(spec, arrays, work)


def _check(spec: DatasetSpec, work: str) -> None:
    from tfp_ood.data import store

    store.check(spec, work)


def unreachable(urls: Iterable[str]) -> dict[str, str]:
    """Which hosts of `urls` do not answer a request within four seconds, each with its reason."""
    one_per_host = {urllib.parse.urlsplit(url).netloc: url for url in urls}
    reasons: dict[str, str | None] = {host: "did not answer in time" for host in one_per_host}

    def probe(host: str, url: str) -> None:
        reasons[host] = _why_not(url)

    # Daemons: looking up a name may hang for minutes, and must not keep the program alive.
    threads = [
        threading.Thread(target=probe, args=item, daemon=True) for item in one_per_host.items()
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {host: reason for host, reason in reasons.items() if reason}


def _why_not(url: str) -> str | None:
    """Why a download from `url` would fail, or None; reads no more than the answer's head."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=_CONNECT_SECONDS) as answer:
            return None if answer.ok else f"answered {answer.status_code} {answer.reason}"
    except requests.RequestException as error:
        return f"cannot be reached ({type(error).__name__})"


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
