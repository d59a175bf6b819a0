"""What carries this package to a machine without network, with tiny wheels."""

import json
import sys
import zipfile

import pytest

from tools import pack_wheels, unpack_wheels

PYTHON = "{}.{}".format(*sys.version_info)
CHECK = "import sys, leaf; print('checked', leaf.VALUE, sys.argv[1:]); sys.exit(3)"


def make_wheel(folder, name, requires="", value=1):
    lines = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"VALUE = {value}\n",
        f"{about}/METADATA": lines,
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "".join(f"{name}.py,,\n{about}/{one},,\n" for one in ("METADATA",)),
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        for path, text in files.items():
            file.writestr(path, text)


@pytest.fixture(name="wheels")
def _wheels(tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    extra = "Provides-Extra: gpu\nRequires-Dist: leaf; extra == 'gpu'\n"
    make_wheel(folder, "tfp_ood", extra)
    make_wheel(folder, "leaf", value=7)
    return folder


@pytest.fixture(name="packed")
def _packed(wheels, tmp_path):
    pack_wheels.main([str(tmp_path / "packed"), f"--wheels={wheels}", "--part_mb=0.0004"])
    return tmp_path / "packed"


def test_parts_have_the_size_that_was_asked_for_and_make_up_the_wheels(wheels, packed):
    facts = json.loads((packed / "wheels.json").read_text())
    parts = [packed / part["name"] for part in facts["parts"]]
    assert len(parts) > 2
    assert {path.stat().st_size for path in parts[:-1]} == {400} and parts[-1].stat().st_size > 0
    assert sorted(path.name for path in packed.iterdir()) == sorted(
        ["wheels.json", *(path.name for path in parts)]
    )
    whole = b"".join(path.read_bytes() for path in parts)
    assert whole == b"".join(path.read_bytes() for path in sorted(wheels.iterdir()))
    assert (facts["python"], facts["requirement"]) == (PYTHON, "tfp_ood[gpu]")


def test_wheels_are_installed_without_network_and_the_check_runs(
    packed, wheels, tmp_path, monkeypatch, capfd
):
    checked = tmp_path / "repository" / "tests" / "gpu"
    checked.mkdir(parents=True)
    for name in ("__init__.py", "../__init__.py"):
        (checked / name).touch()
    (checked / "__main__.py").write_text(CHECK)
    monkeypatch.setattr(unpack_wheels, "ROOT", tmp_path / "repository")
    assert unpack_wheels.main([str(packed), "--", "--smoke"]) == 3
    out = capfd.readouterr().out
    assert "installed 2 wheels" in out and "checked 7 ['--smoke']" in out
    for path in wheels.iterdir():
        assert (packed / "wheels" / path.name).read_bytes() == path.read_bytes()


def refused(folder, capsys):
    """What is said before anything is installed."""
    with pytest.raises(SystemExit) as end:
        unpack_wheels.main([str(folder), "--install_only"])
    assert end.value.code == unpack_wheels.REFUSED
    assert not (folder / "venv").exists()
    return capsys.readouterr().err


def changed(packed, **facts):
    path = packed / "wheels.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_parts_that_are_missing_or_damaged_are_all_named(packed, capsys):
    (packed / "wheels.part001").unlink()
    data = (packed / "wheels.part002").read_bytes()
    (packed / "wheels.part002").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = refused(packed, capsys)
    assert "wheels.part001 is missing; wheels.part002 is damaged (400 bytes)" in said


def test_wheels_that_are_not_what_was_packed_are_refused(packed, capsys):
    facts = json.loads((packed / "wheels.json").read_text())
    facts["wheels"][1]["sha256"] = "0" * 64
    changed(packed, wheels=facts["wheels"])
    assert "tfp_ood-1.0-py3-none-any.whl is not what was packed" in refused(packed, capsys)
    facts["wheels"][1]["name"] = "../leaf.whl"
    changed(packed, wheels=facts["wheels"])
    assert "'../leaf.whl', which is no plain file name" in refused(packed, capsys)


def test_another_python_is_refused(packed, capsys):
    changed(packed, python="3.99")
    said = refused(packed, capsys)
    assert f"for Python 3.99; this is {PYTHON}. Run python3.99 instead" in said


def test_a_folder_without_a_packing_is_refused(tmp_path, capsys):
    assert "has no wheels.json" in refused(tmp_path, capsys)
    (tmp_path / "wheels.json").write_text("[]")
    assert "wheels.json is damaged" in refused(tmp_path, capsys)


def test_what_cannot_be_packed_is_refused(wheels, packed, tmp_path):
    with pytest.raises(SystemExit, match="is not empty"):
        pack_wheels.main([str(packed), f"--wheels={wheels}"])
    (tmp_path / "none").mkdir()
    with pytest.raises(SystemExit, match="There are no wheels"):
        pack_wheels.main([str(tmp_path / "new"), f"--wheels={tmp_path / 'none'}"])
    with pytest.raises(SystemExit, match="--part_mb: got 0"):
        pack_wheels.main([str(tmp_path / "new"), f"--wheels={wheels}", "--part_mb=0"])


def test_wheels_of_another_python_are_asked_of_pip(tmp_path, monkeypatch):
    asked = []

    def run(command):
        asked.append(command)
        (tmp_path / "tfp_ood-0.1.0-py3-none-any.whl").touch()

    monkeypatch.setattr(pack_wheels, "_run", run)
    pack_wheels.download(tmp_path, "gpu", "3.12")
    made, got = (" ".join(command) for command in asked)
    assert " wheel " in made and "--no-deps" in made and made.endswith(" promise")
    assert "--only-binary=:all: --implementation cp --python-version 3.12" in got
    assert "--platform manylinux_2_28_x86_64" in got and got.endswith("any.whl[gpu]")
    asked.clear()
    pack_wheels.download(tmp_path, "", "")
    assert "--platform" not in asked[1] and asked[1][-1].endswith("any.whl")
