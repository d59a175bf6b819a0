"""Packs this package and all that it needs for a machine without network, in parts of a given size.

python tools/pack_wheels.py FOLDER                      for this machine's Python
python tools/pack_wheels.py FOLDER --python=3.12        for another one, on x86-64 Linux
python tools/pack_wheels.py FOLDER --wheels=DOWNLOADED  of wheels that are there already

FOLDER gets wheels.json and the parts, wheels.part001 and so on: all wheels one after the other, cut
where a part is full. Carry them and this repository to the other machine, and run there
`python tools/unpack_wheels.py FOLDER`. With TensorFlow's CUDA libraries (--extra=gpu, the default)
they are about 3.6 GB; --extra= leaves these out. Needs pip and, without --wheels, a package index.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = "tfp_ood"
MANIFEST = "wheels.json"
PART_MB = 60.0
_MB = 1_000_000
_CHUNK = 2**20  # bytes read at once
_OF_BUILD = ("LICENSE", "README.md", "pyproject.toml", "setup.py")
_SOURCE_ONLY = ("promise",)
"""What TFDS needs and has no wheel; of Python alone, so that one that is built here fits all."""
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
"""Those of wheels for today's x86-64 Linux; pip knows the older ones that the last stands for."""


def download(folder: pathlib.Path, extra: str, python: str) -> None:
    """Gets the wheels of this package and of all that it needs.

    Args:
      folder: gets them.
      extra: of setup.py; "" for none.
      python: version as "3.12", for x86-64 Linux; "" for this Python on this machine.

    Raises:
      SystemExit: pip found no wheel of something; it has said of what.
    """
    pip = [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work) / PACKAGE
        # A copy: what earlier builds left in the repository would be packed too.
        shutil.copytree(ROOT / PACKAGE, source / PACKAGE)
        for name in _OF_BUILD:
            shutil.copy(ROOT / name, source)
        made = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        _run([*pip, *made, str(source), *_SOURCE_ONLY])
    (own,) = folder.glob(f"{PACKAGE}-*.whl")
    other = []
    if python:
        other = ["--implementation", "cp", "--python-version", python]
        other += [word for name in _PLATFORMS for word in ("--platform", name)]
    wanted = f"{own}[{extra}]" if extra else str(own)
    found = ["--find-links", str(folder), "--dest", str(folder)]
    _run([*pip, "download", "--only-binary=:all:", *other, *found, wanted])


def _run(command: Sequence[str]) -> None:
    status = subprocess.run(command).returncode
    if status:
        sys.exit(f"pip ended with status {status}; nothing was packed.")


def pack(wheels: pathlib.Path, folder: pathlib.Path, part_bytes: int) -> dict[str, Any]:
    """Writes the parts and the parts' and wheels' names, sizes and digests.

    Args:
      wheels: a folder with them.
      folder: gets the parts; must be empty or new.
      part_bytes: most bytes of a part.

    Returns:
      What `MANIFEST` holds, but for the Python version and the requirement.

    Raises:
      SystemExit: there are no wheels, or the folder has something in it.
    """
    files = sorted(wheels.glob("*.whl"))
    if not files:
        sys.exit(f"There are no wheels (*.whl) in {wheels}.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; name a new folder.")
    digests = {path.name: hashlib.sha256() for path in files}

    def pieces() -> Iterator[bytes]:
        for path in files:
            with path.open("rb") as file:
                while piece := file.read(min(_CHUNK, part_bytes)):
                    digests[path.name].update(piece)
                    yield piece

    parts = _write_parts(pieces(), folder, part_bytes)
    sizes = {path.name: path.stat().st_size for path in files}
    listed = [
        {"name": name, "bytes": sizes[name], "sha256": digest.hexdigest()}
        for name, digest in digests.items()
    ]
    return {"parts": parts, "wheels": listed}


def _write_parts(
    pieces: Iterator[bytes], folder: pathlib.Path, part_bytes: int
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    rest = next(pieces, b"")
    while rest:
        path, digest, size = folder / f"wheels.part{len(parts) + 1:03}", hashlib.sha256(), 0
        with path.open("wb") as file:
            while rest and size < part_bytes:
                fits, rest = rest[: part_bytes - size], rest[part_bytes - size :]
                file.write(fits)
                digest.update(fits)
                size += len(fits)
                rest = rest or next(pieces, b"")
        parts.append({"name": path.name, "bytes": size, "sha256": digest.hexdigest()})
    return parts


def main(words: Sequence[str]) -> None:
    """Downloads, unless wheels are there, and packs."""
    parser = argparse.ArgumentParser(prog="pack_wheels.py", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path, help="gets the parts")
    parser.add_argument("--extra", default="gpu", help="of setup.py; empty for none")
    parser.add_argument("--part_mb", type=float, default=PART_MB, help="most megabytes of a part")
    parser.add_argument("--python", default="", help="version, such as 3.12, for x86-64 Linux")
    parser.add_argument("--wheels", type=pathlib.Path, help="folder with wheels, all that it takes")
    given = parser.parse_args(words)
    part_bytes = int(given.part_mb * _MB)
    if part_bytes < 1:
        sys.exit(f"--part_mb: got {given.part_mb}; valid is a number above 0.")
    with tempfile.TemporaryDirectory() as work:
        wheels = given.wheels or pathlib.Path(work)
        if given.wheels is None:
            download(wheels, given.extra, given.python)
        facts = pack(wheels, given.folder, part_bytes)
    facts["python"] = given.python or "{}.{}".format(*sys.version_info)
    facts["requirement"] = f"{PACKAGE}[{given.extra}]" if given.extra else PACKAGE
    (given.folder / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
    total = sum(wheel["bytes"] for wheel in facts["wheels"]) / _MB
    print(f"{len(facts['wheels'])} wheels, {total:,.1f} MB, in {len(facts['parts'])} parts")


if __name__ == "__main__":
    main(sys.argv[1:])
