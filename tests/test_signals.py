"""SIGINT and SIGTERM: at once, or at the end of what must be whole."""

import os
import signal
import subprocess
import sys

import pytest

from tfp_ood import signals

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def _handlers():
    """Those of a program in the foreground: a shell's background starts ignoring SIGINT."""
    before = {number: signal.getsignal(number) for number in CODES}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_stops_at_once_and_the_old_handlers_come_back(number):
    before = [signal.getsignal(n) for n in CODES]
    with pytest.raises(signals.Stopped, match="goes on from here") as stopped, signals.handled():
        send(number)
    assert stopped.value.exit_code == CODES[number]
    assert [signal.getsignal(n) for n in CODES] == before


@pytest.mark.parametrize("number", CODES)
def test_a_deferred_signal_waits_for_the_end_of_the_block(number, capfd):
    done = []
    with pytest.raises(signals.Stopped) as stopped, signals.handled(), signals.deferred():
        assert signals.requested() is None
        send(number)
        assert signals.requested() == number
        done.append(True)
    assert done and stopped.value.number == number
    assert f"{signal.Signals(number).name}: finishing this step" in capfd.readouterr().err


def test_a_second_signal_does_not_wait():
    with pytest.raises(signals.Stopped), signals.handled(), signals.deferred():
        send(signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("went on")


def test_deferring_takes_the_handlers_back():
    """TensorFlow installs one for SIGTERM when it joins other workers."""
    with pytest.raises(signals.Stopped), signals.handled():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with signals.deferred():
            send(signal.SIGTERM)


def test_handlers_are_out_of_the_way_of_long_calls():
    with signals.handled():
        with signals.unhandled():
            assert [signal.getsignal(n) for n in CODES] == [signal.SIG_DFL] * 2
        with pytest.raises(signals.Stopped):
            send(signal.SIGTERM)


def test_a_program_that_handles_nothing_keeps_its_own():
    with pytest.raises(KeyboardInterrupt), signals.deferred():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        send(signal.SIGINT)


def test_what_the_process_was_started_to_ignore_stays_ignored():
    program = (
        "import os, signal\nfrom tfp_ood import signals\nwith signals.handled():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "went on\n"
