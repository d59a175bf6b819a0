"""Joins what pack_wheels.py made, installs it without network, and runs the check of GPUs.

python tools/unpack_wheels.py FOLDER                  makes the environment FOLDER/venv
python tools/unpack_wheels.py FOLDER --venv=DIR       another
python tools/unpack_wheels.py FOLDER -- --smoke       with arguments of `python -m tests.gpu`
python tools/unpack_wheels.py FOLDER --install_only   without the check

Ends with the status of the check, or with 2 where a part is missing or damaged, or the Python is
another. Needs this repository and Python with venv and pip 22.3 or later; nothing is fetched.
"""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
MANIFEST = "wheels.json"
REFUSED = 2
_CHUNK = 2**20  # bytes read at once
_NAME = re.compile(r"[\w.+-]+")


def refuse(words: str) -> None:
    """Ends with `REFUSED` and a sentence.

    Raises:
      SystemExit: always.
    """
    print(words, file=sys.stderr)
    sys.exit(REFUSED)


def manifest(folder: pathlib.Path) -> dict[str, Any]:
    """What was packed, with names that stay in their folder.

    Raises:
      SystemExit: there is none, or it is for another Python.
    """
    try:
        facts = json.loads((folder / MANIFEST).read_text())
        names = [one["name"] for one in [*facts["parts"], *facts["wheels"]]]
        python = facts["python"]
    except FileNotFoundError:
        refuse(f"{folder} has no {MANIFEST}; pack_wheels.py makes it.")
    except (ValueError, KeyError, TypeError):
        refuse(f"{folder / MANIFEST} is damaged; copy it again.")
    for name in names:
        if not _NAME.fullmatch(name):
            refuse(f"{folder / MANIFEST} names {name!r}, which is no plain file name.")
    own = "{}.{}".format(*sys.version_info)
    if python != own:
        refuse(f"The wheels are for Python {python}; this is {own}. Run python{python} instead.")
    return facts


def check_parts(folder: pathlib.Path, parts: Sequence[dict[str, Any]]) -> None:
    """Refuses parts that are not as they were packed, all at once.

    Raises:
      SystemExit: names what is missing and what is damaged.
    """
    wrong = []
    for part in parts:
        path = folder / part["name"]
        if not path.is_file():
            wrong.append(f"{part['name']} is missing")
        elif _digest(path) != part["sha256"]:
            wrong.append(f"{part['name']} is damaged ({path.stat().st_size} bytes)")
    if wrong:
        refuse(f"{folder}: {'; '.join(wrong)}. Copy these again.")


def _digest(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def join(folder: pathlib.Path, facts: dict[str, Any], wheels: pathlib.Path) -> None:
    """Writes the wheels that the parts hold.

    Raises:
      SystemExit: a wheel is not as it was packed.
    """
    wheels.mkdir(parents=True, exist_ok=True)
    pieces, rest = _pieces(folder, facts["parts"]), b""
    for wheel in facts["wheels"]:
        missing, digest = wheel["bytes"], hashlib.sha256()
        with (wheels / wheel["name"]).open("wb") as file:
            while missing:
                rest = rest or next(pieces, b"")
                if not rest:
                    break
                piece, rest = rest[:missing], rest[missing:]
                file.write(piece)
                digest.update(piece)
                missing -= len(piece)
        if missing or digest.hexdigest() != wheel["sha256"]:
            refuse(f"{wheel['name']} is not what was packed; pack again.")


def _pieces(folder: pathlib.Path, parts: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    for part in parts:
        with (folder / part["name"]).open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece


def install(wheels: pathlib.Path, requirement: str, venv: pathlib.Path) -> pathlib.Path:
    """Makes an environment of the wheels alone; returns its Python.

    Raises:
      SystemExit: venv or pip failed; they have said why.
    """
    python = venv / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    index = ["--no-index", "--find-links", str(wheels)]
    pip = [sys.executable, "-m", "pip", "--python", str(python)]  # takes less time than its own
    for name, command in (
        ("venv", [sys.executable, "-m", "venv", "--without-pip", str(venv)]),
        ("pip", [*pip, "install", "--quiet", "--no-compile", *index, requirement]),
    ):
        status = subprocess.run(command).returncode
        if status:
            refuse(f"{name} ended with status {status}.")
    return python


def main(words: Sequence[str]) -> int:
    """Joins, installs and checks; returns the exit status."""
    words, checked = list(words), []
    if "--" in words:
        place = words.index("--")
        words, checked = words[:place], words[place + 1 :]
    parser = argparse.ArgumentParser(prog="unpack_wheels.py", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path, help="of pack_wheels.py")
    parser.add_argument("--venv", type=pathlib.Path, help="of the environment; FOLDER/venv")
    parser.add_argument("--install_only", action="store_true", help="run no check")
    given = parser.parse_args(words)
    facts = manifest(given.folder)
    check_parts(given.folder, facts["parts"])
    wheels = given.folder / "wheels"
    join(given.folder, facts, wheels)
    python = install(wheels, facts["requirement"], given.venv or given.folder / "venv")
    print(f"installed {len(facts['wheels'])} wheels")
    if given.install_only:
        return 0
    return subprocess.run(
        [str(python.absolute()), "-m", "tests.gpu", *checked], cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
