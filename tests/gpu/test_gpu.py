"""`python -m tests.gpu` as a command: its processes, its exit status, and all of it on a CPU."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.gpu import __main__ as command
from tests.gpu.table import Row
from tests.gpu.worker import READY, ROWS

ROOT = pathlib.Path(__file__).parents[2]
GOOD = f"""
import sys
print("a note", flush=True); print("{READY}", flush=True); sys.stdin.readline()
print('{ROWS}[["a", "what", "1", "1", true]]')
"""


def worker(program, name="a"):
    return command.Worker(name, [sys.executable, "-c", program], {})


def test_rows_come_in_the_order_of_workers():
    rows = command.run([worker(GOOD), worker(GOOD.replace('"a", "what"', '"b", "what"'))], 2, 60.0)
    assert [row.part for row in rows] == ["a", "b", "all"]
    assert all(row.ok for row in rows)
    assert rows[0] == Row("a", "what", "1", "1", True)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("raise SystemExit('no such kernel')", "exit status 1: no such kernel"),
        (f"print('{READY}', flush=True); input(); raise ValueError('later')", "ValueError: later"),
        ("import os; os.kill(os.getpid(), 11)", "exit status -11"),
    ],
    ids=["before", "after", "killed"],
)
def test_a_worker_without_a_result_is_wrong_and_others_go_on(program, says):
    broken, good, took = command.run([worker(program), worker(GOOD, "b")], 1, 60.0)
    assert broken.ok is False and says in broken.found
    assert good.ok and took.ok


def test_what_takes_too_long_is_ended_and_wrong():
    hangs = worker("import time; time.sleep(600)")
    waits = worker(GOOD)
    rows = command.run([hangs, waits], 1, 0.5)
    assert [row.ok for row in rows] == [False, False, True]
    assert rows[0].found.startswith("exit status -9") and rows[1].found == "no time was left"


def test_what_is_not_prepared_in_time_is_ended_and_others_finish():
    hangs = worker("import time; time.sleep(600)")
    rows = command.run([hangs, worker(GOOD)], 2, 5.0)
    assert [row.ok for row in rows] == [False, True, True]


def test_exit_status_tells_what_was_found(monkeypatch, capsys):
    found = {"rows": [Row("agreement", "a", "1", "1", True)]}
    monkeypatch.setattr(command, "run", lambda *_: found["rows"])
    monkeypatch.setattr(command, "card_name", lambda changes: command.NO_CARD)
    assert command.main([]) == 2
    assert "TensorFlow sees no GPU" in capsys.readouterr().err
    assert command.main(["--smoke"]) == 0
    assert capsys.readouterr().out.endswith("all right\n")
    found["rows"].insert(0, Row("serving", "a", "2", "1", False))
    assert command.main(["--smoke"]) == 1
    out = capsys.readouterr().out
    assert out.endswith("SOMETHING IS WRONG\n")
    assert out.index("| agreement") < out.index("| serving")  # as `parts.SHOWN`
    with pytest.raises(SystemExit, match="--only: got no_such; valid are train xla bfloat16"):
        command.main(["--smoke", "--only=no_such"])


@pytest.mark.slow
def test_the_whole_check_runs_on_a_cpu():
    """Minutes where two cores are busy: nine processes that each start TensorFlow."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--smoke"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for part in command.PARTS:
        assert f"| {part} " in done.stdout
    assert "WRONG" not in done.stdout
